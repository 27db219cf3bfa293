#!/usr/bin/env bash
# Expected: mosquitto_pub -q 1 ends with exit code 0 when the broker has taken the message, as QoS 1 is for.
# Guessed: a topic that the broker's ACL denies gives another code, at least with MQTT 5, whose PUBACK has a reason.
# Seen (mosquitto 2.0.11, Debian 12): exit code 0, and the message is gone. With MQTT 3.1.1, which is what mosquitto_pub speaks by
# itself, it says nothing either: the broker acknowledges what it drops, since that version has no other answer. With -V 5
# the refusal (0x87) is printed as a warning, and the code is 0 all the same, with QoS 2 as well.
# For Waybill: it speaks no MQTT. A tracker's script of the kind `mosquitto_pub -q 1 -f positions && rm positions` deletes what nobody
# got, from the day on which a right is taken away. Use -V 5, and take any "Warning: Publish" on stderr for a failure.
# Needs: Debian's mosquitto and mosquitto-clients 2.0.11.
set -uo pipefail
broker=$(PATH=$PATH:/usr/sbin command -v mosquitto) && command -v mosquitto_pub mosquitto_sub >/dev/null ||
  { echo "needs Debian's mosquitto and mosquitto-clients" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
chmod 755 .
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo 28831)
printf 'topic readwrite open/#\n' >acl
printf 'listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s/acl\n' "$port" "$folder" >mosquitto.conf
"$broker" -c mosquitto.conf >mosquitto.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
echo "$(mosquitto_pub --version 2>/dev/null | head -1)"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-36s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
publish() { # TOPIC, and options
  mosquitto_pub -h 127.0.0.1 -p "$port" -t "$@" 2>warnings
  echo "exit code $?, $(grep -c Warning warnings) warnings"
}
got() { mosquitto_sub -h 127.0.0.1 -p "$port" -t "$1" -C 1 -W 1 2>/dev/null || echo nothing; }
expect "allowed, QoS 1" "exit code 0, 0 warnings" "$(publish open/track -q 1 -r -m position)"
expect "a reader of it gets" position "$(got open/track)"
expect "denied, QoS 1" "exit code 0, 0 warnings" "$(publish fleet/track -q 1 -r -m position)"
expect "denied, QoS 1, MQTT 5" "exit code 0, 1 warnings" "$(publish fleet/track -V 5 -q 1 -r -m position)"
expect "denied, QoS 2, MQTT 5" "exit code 0, 1 warnings" "$(publish fleet/track -V 5 -q 2 -r -m position)"
printf 'topic readwrite open/#\ntopic readwrite fleet/#\n' >acl
kill -HUP "$server"
sleep 0.5
expect "allowed by now, a reader gets" nothing "$(got fleet/track)"
expect "sent again, QoS 1" "exit code 0, 0 warnings" "$(publish fleet/track -q 1 -r -m position)"
expect "a reader of it gets" position "$(got fleet/track)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
