#!/usr/bin/env bash
# Expected: workers with one shared subscription ($share/workers/jobs) take what there is in turn; one that is away gets nothing as
# long as another is there. A message of QoS 1 is not lost while a worker stands ready.
# Guessed: so it is.
# Seen (mosquitto 2.0.11, Debian 12): a worker that has gone but left its session behind (MQTT 5 session expiry, or clean session off)
# keeps its turn. With two workers of which one is away each second message waits for it, while the other one idles; and when the
# session expires before it is back, its messages are thrown away, unseen, after the publisher's PUBACK. MQTT 5 (4.8.2) leaves
# it to the server whom it chooses. Workers without a session (-x 0) get a turn only while they are there.
# For Waybill: it speaks no MQTT. Who spreads orders or positions over workers with mosquitto lets them leave no session behind; a
# queue of RabbitMQ gives what a worker has not acknowledged to the next one.
# Needs: Debian's mosquitto and mosquitto-clients 2.0.11. It takes some seconds.
set -uo pipefail
broker=$(PATH=$PATH:/usr/sbin command -v mosquitto) && command -v mosquitto_pub mosquitto_sub >/dev/null ||
  { echo "needs Debian's mosquitto and mosquitto-clients" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo 28832)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >mosquitto.conf
"$broker" -c mosquitto.conf >mosquitto.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
echo "$(mosquitto_pub --version 2>/dev/null | head -1)"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-44s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
worker() { # NAME SESSION_EXPIRY TOPIC, and options
  mosquitto_sub -h 127.0.0.1 -p "$port" -V 5 -c -q 1 -i "$1" -x "$2" -t "\$share/workers/$3" "${@:4}" 2>/dev/null
}
publish() { # TOPIC NUMBERS
  for number in "${@:2}"; do mosquitto_pub -h 127.0.0.1 -p "$port" -V 5 -q 1 -t "$1" -m "$number" || failed=1; done
}
words() { tr '\n' ' ' | sed 's/ $//'; }

worker away 3600 jobs -E # subscribes, and is gone with its session kept
worker ready 3600 jobs -W 2 >ready.txt &
reader=$!
sleep 0.5
publish jobs 1 2 3 4 5 6
wait "$reader"
expect "two workers, one away; the other gets" "2 4 6" "$(words <ready.txt)"
expect "the one that was away, when it is back" "1 3 5" "$(worker away 3600 jobs -W 1 | words)"

worker brief 1 trips -E
worker ready 3600 trips -W 6 >ready.txt &
reader=$!
sleep 0.5
publish trips 1 2 3 4 5 6
sleep 4
publish trips 7 8
wait "$reader"
expect "one whose session expires; the other gets" "2 4 6 7 8" "$(words <ready.txt)"
expect "the one that was away, when it is back" "" "$(worker brief 60 trips -W 1 | words)"

worker gone 0 routes -E
worker ready 3600 routes -W 2 >ready.txt &
reader=$!
sleep 0.5
publish routes 1 2 3 4
wait "$reader"
expect "one that left no session; the other gets" "1 2 3 4" "$(words <ready.txt)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
