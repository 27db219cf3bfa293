# ./dev demo: a fleet on the move and one order of each fate, through real servers that are gone afterwards.

verb_demo() {
  (($# == 0)) || fail "demo: no option $1"
  # The preset of the tests: whoever tries ./dev test next need not compile it all again.
  build dev waybill waybill-order waybill-ingest waybill-ledger waybill-sandbox
  local bin="$ROOT/build/dev/bin" stack started
  PATH="$bin:$PATH"
  stack=$(mktemp -d "$STATE/demo-XXXXXX")
  chmod 755 "$stack"
  # shellcheck disable=SC2064
  trap "demo_end '$stack'" EXIT
  # shellcheck disable=SC2034  # read by start_process
  local attached=1
  started=$SECONDS

  cat <<'INTRO'

Waybill takes an order, charges it and gives it a driver; or, if that fails, gives the money back. Always exactly
one of the two, whatever crashes in between. And it keeps every position that the drivers' apps send. Here is a fleet
on the move and one order of each fate, through a real Postgres and Redis.
The payment gateway is waybill-sandbox: it misbehaves when told to, and keeps its own books of what it really did.
INTRO
  demo_start "$stack"
  demo_fleet "$stack"
  demo_confirmed
  demo_declined
  demo_no_driver
  demo_gateway_silent_for_a_while "$stack"
  demo_gateway_silent_for_good "$stack"
  demo_killed "$stack"
  demo_afterwards
  demo_books "$stack"
  demo_late_hour "$stack"
  demo_ledger
  echo
  say "That took $((SECONDS - started)) s. Next: ./dev up gives you a Waybill to play with, ./dev test runs the tests."
}

demo_end() { # STACK
  stop_process "$1" live-fleet INT
  stop_process "$1" waybill-order
  stop_process "$1" waybill-ingest
  stop_process "$1" waybill-ledger
  stop_process "$1" waybill-sandbox
  if [[ -n ${demo_database:-} ]]; then psql -qX "$demo_server" -c "DROP DATABASE $demo_database WITH (FORCE)"; fi
  if [[ -n ${demo_redis:-} ]]; then redis-cli -u "$demo_redis" flushdb >/dev/null; fi
  stop_servers "$1"
  remove_stack "$1"
}

# --- how it is told ---

chapter() { printf '\n'; say "── $*"; }

tell() { printf '%s\n' "$@"; }

# Shows a command as the reader could type it, and runs it.
show() {
  if [[ -t 1 ]]; then printf '\e[36m$ %s\e[0m\n' "$*"; else printf '$ %s\n' "$*"; fi
  "$@"
}

# Creates an order quietly and leaves its id in $order. Code 6 is an order that was turned back.
create() { # ARGUMENTS of waybill order create
  local answer code
  answer=$(waybill order create --json "$@" 2>/dev/null)
  code=$?
  ((code == 0 || code == 6)) || fail "creating the order ended with exit code $code: $answer"
  order=$(sed -nE 's/.*"order_id":"([^"]+)".*/\1/p' <<<"$answer")
  [[ -n $order ]] || fail "there is no order id in: $answer"
}

# The story is only worth telling when it went as told.
expect() { # STATUS
  local status
  status=$(waybill order get --json "$order" | sed -nE 's/.*"status":"([A-Z]+)","(failure|driver_id).*/\1/p')
  expected+=("$order=$1")
  [[ $status == "$1" ]] || fail "order $order should be $1 by now, and is ${status:-unknown}"
}

# Follows $order in the background, line by line; followed waits for its end.
follow() { # FILE
  : >"$1"
  { waybill order watch --until settled --timeout 40s "$order" 2>/dev/null; echo $? >"$1.code"; } | tee "$1" &
  follower=$!
}

followed() { # FILE
  local code
  wait "$follower"
  code=$(<"$1.code")
  ((code == 0 || code == 6)) || fail "following order $order ended with exit code $code"
}

wait_for_lines() { # COUNT TEXT FILE
  local deadline=$((SECONDS + 20))
  until (($(grep -c "$2" "$3") >= $1)); do
    ((SECONDS < deadline)) || fail "order $order never came to: $2"
    sleep 0.02
  done
}

# --- the story ---

demo_start() { # STACK
  chapter "Starting"
  if [[ -n ${DATABASE_URL:-} ]]; then
    demo_server=$DATABASE_URL demo_database="waybill_demo_$$"
    psql -qX "$demo_server" -c "CREATE DATABASE $demo_database" || fail "cannot make a database on the server of DATABASE_URL"
    DATABASE_URL=$(sed -E "s|^([a-z]+://[^/?]*)(/[^?]*)?|\1/$demo_database|" <<<"$DATABASE_URL")
  fi
  if [[ -n ${REDIS_URL:-} ]]; then
    [[ $(redis-cli -u "$REDIS_URL" dbsize) =~ ^(\(integer\) )?0$ ]] ||
      fail "the demo wants an empty Redis database; point REDIS_URL at one, e.g. redis://127.0.0.1:6379/5"
    demo_redis=$REDIS_URL
  fi
  start_servers "$1"
  export DATABASE_URL REDIS_URL
  tell "Postgres  $DATABASE_URL" "Redis     $REDIS_URL"
  show waybill migrate || fail "the migration failed"
  start_service "$1" waybill-sandbox waybill-sandbox --listen 127.0.0.1:0 --side-listen 127.0.0.1:0 --log "$1/books.log"
  WAYBILL_SANDBOX=$(service_address "$1" waybill-sandbox)
  start_order_service "$1" 127.0.0.1:0
  WAYBILL_SERVER=$(service_address "$1" waybill-order)
  start_ingest_service "$1" 127.0.0.1:0
  WAYBILL_INGEST=$(service_address "$1" waybill-ingest)
  start_service "$1" waybill-ledger waybill-ledger --listen 127.0.0.1:0 --side-listen 127.0.0.1:0
  WAYBILL_LEDGER=$(service_address "$1" waybill-ledger)
  export WAYBILL_SANDBOX WAYBILL_SERVER WAYBILL_INGEST WAYBILL_LEDGER
  tell "sandbox   $WAYBILL_SANDBOX" "orders    $WAYBILL_SERVER" "ingest    $WAYBILL_INGEST" "ledger    $WAYBILL_LEDGER"
}

start_ingest_service() { # STACK LISTEN
  start_service "$1" waybill-ingest waybill-ingest --listen "$2" --side-listen 127.0.0.1:0
}

# Less patient than by default, so that you need not be patient either.
start_order_service() { # STACK LISTEN
  start_service "$1" waybill-order waybill-order --listen "$2" --side-listen 127.0.0.1:0 --instance demo \
    --payment-gateway "grpc://$WAYBILL_SANDBOX" --attempt-timeout 400ms --backoff 50ms --attempts-max 4 --retry-for 1ms
}

demo_fleet() { # STACK
  chapter "A fleet in Berlin, live"
  tell "Sixty drivers of a made-up city stream where they are, every two seconds, while all of this goes on."
  waybill track generate "$1/live.csv" --seed 7 --drivers 60 --minutes 10 --interval 2s --radius-m 4000 --clean \
    >/dev/null 2>&1 || fail "the fleet could not be made up"
  start_process "$1" live-fleet waybill track replay "$1/live.csv" --speed real --shift-to-now --timeout 10m
  local deadline=$((SECONDS + 20))
  until (($(waybill driver near 52.5205,13.4049 --limit 60 --json 2>/dev/null | wc -l) >= 30)); do
    ((SECONDS < deadline)) || fail_with_log "the fleet does not show up" "$1/live-fleet.log"
    sleep 0.1
  done
  tell "Each position is durable in Postgres when it is acked; the newest of each driver is in Redis:"
  show waybill driver near 52.5205,13.4049 --limit 5
}

demo_confirmed() {
  chapter "1. All goes well"
  create --key demo-confirmed --user ada --amount 12.50 --currency EUR --pickup 52.5205,13.4049
  tell "Charged once, and the nearest free driver has it. What happened, step by step:"
  show waybill order get "$order"
  expect CONFIRMED
  local driver near first=$order
  driver=$(waybill order get --json "$order" | sed -nE 's/.*"driver_id":"([^"]+)".*/\1/p')
  tell "" "Where that driver is now:"
  show waybill driver get "$driver"
  near=$(waybill driver near 52.5205,13.4049 --radius-m 3000 --limit 10 --json)
  [[ $near == *"\"$driver\""* ]] || fail "the order was given to $driver, who is not among the ten nearest"
  tell "" "The same request again, as after a lost answer: the same order, not a second one."
  create --key demo-confirmed --user ada --amount 12.50 --currency EUR --pickup 52.5205,13.4049
  [[ $order == "$first" ]] || fail "the same key made a second order"
  tell "order $order"
}

demo_declined() {
  chapter "2. The card is declined"
  waybill sandbox set --target gateway --decline 1 >/dev/null
  create --user bruno --amount 80 --currency EUR --pickup 52.5163,13.3777
  waybill sandbox set >/dev/null
  show waybill order get "$order"
  expect FAILED
}

demo_no_driver() {
  chapter "3. No driver is near: the money goes back"
  tell "The pickup is in Hamburg, and the whole fleet in Berlin."
  create --user chen --amount 33.20 --currency EUR --pickup 53.5511,9.9937
  show waybill order get "$order"
  expect FAILED
}

demo_gateway_silent_for_a_while() { # STACK
  chapter "4. The gateway charges, but its answers are lost: asked again under the same key"
  tell "No answer is neither yes nor no. After two lost answers the gateway is repaired:"
  waybill sandbox set --target gateway --lost-after 1 --method Charge >/dev/null
  create --user dora --amount 21.00 --currency EUR --pickup 52.5076,13.3904 --wait accepted
  follow "$1/follow"
  wait_for_lines 2 unknown "$1/follow"
  waybill sandbox set >/dev/null
  followed "$1/follow"
  expect CONFIRMED
  tell "It was asked several times and charged once:"
  show waybill sandbox books --order "$order"
}

demo_gateway_silent_for_good() { # STACK
  chapter "5. The gateway never answers a charge: turned back, although nobody knows whether it charged"
  waybill sandbox set --target gateway --lost-after 1 --method Charge >/dev/null
  create --user emil --amount 45.99 --currency EUR --pickup 52.5250,13.3694 --wait accepted
  follow "$1/follow"
  followed "$1/follow"
  waybill sandbox set >/dev/null
  expect FAILED
  tell "It had charged. The refund, under the same key, gave that back and lets no late charge land:"
  show waybill sandbox books --order "$order"
}

demo_killed() { # STACK
  chapter "6. kill -9 in the middle of an order"
  waybill sandbox set --target gateway --lost-after 1 --method Charge >/dev/null
  create --user farid --amount 17.00 --currency EUR --pickup 52.5027,13.4132 --wait accepted
  follow "$1/follow"
  wait_for_lines 1 unknown "$1/follow"
  local pid
  read -r pid _ <"$1/waybill-order.pid"
  tell "      kill -9 $pid: waybill-order is gone, with an order whose charge it knows nothing about"
  stop_process "$1" waybill-order KILL
  waybill sandbox set >/dev/null
  tell "      and started again: it finds the order in Postgres, and goes on"
  start_order_service "$1" "$WAYBILL_SERVER"
  followed "$1/follow"
  expect CONFIRMED
  tell "Charged once:"
  show waybill sandbox books --order "$order"
}

demo_afterwards() {
  chapter "7. After the confirmation"
  tell "Cancelled: the money goes back, and the driver is free again."
  create --user gita --amount 9.90 --currency EUR --pickup 52.5163,13.3777
  expect CONFIRMED
  unset 'expected[-1]'
  show waybill order cancel "$order" || fail "the order could not be cancelled"
  expect CANCELLED
  tell "" "Completed: the driver is free for the next one."
  create --user hugo --amount 14.10 --currency EUR --pickup 52.5300,13.4100
  show waybill order complete "$order" || fail "the order could not be completed"
  expect COMPLETED
}

demo_books() { # STACK
  chapter "The books"
  show waybill order list
  tell "" "Sagas that are not finished:"
  show waybill saga list
  tell "" "What we say, against what the gateway's own log says:"
  waybill order list --json --limit 0 >"$1/orders.json" && waybill sandbox books --json >"$1/books.json" &&
    python3 "$ROOT/scripts/demo_books.py" "$1/orders.json" "$1/books.json" "${expected[@]}" || fail "the books do not balance"
}

demo_late_hour() { # STACK
  chapter "8. The hour before arrives late, over a bad network"
  local start truth wanted stored pid
  start=$(date -u -d '65 minutes ago' +%FT%TZ)
  truth=$(waybill track generate "$1/hour.csv" --json --seed 11 --drivers 200 --start "$start" --resends 5 --bad 2) ||
    fail "the hour could not be made up"
  wanted=$(sed -nE 's/.*"points":([0-9]+).*/\1/p' <<<"$truth")
  tell "What the file holds, known beforehand:" "$truth"
  waybill track replay "$1/hour.csv" --speed 1800 >"$1/replay.out" 2>"$1/replay.log" &
  local replay=$! deadline=$((SECONDS + 20))
  until (($(count_history "$1" "$start") > wanted / 4)); do
    ((SECONDS < deadline)) || fail_with_log "the replay does not begin" "$1/replay.log"
    sleep 0.02
  done
  read -r pid _ <"$1/waybill-ingest.pid"
  tell "" "      kill -9 $pid: waybill-ingest is gone, in the middle of it, and started again"
  stop_process "$1" waybill-ingest KILL
  start_ingest_service "$1" "$WAYBILL_INGEST"
  local code=0
  wait "$replay" || code=$?
  # 7: some points were rejected, which is what the bad ones among them are for.
  ((code == 7)) || fail_with_log "the replay ended with exit code $code" "$1/replay.log"
  tell "The client went on from its last ack. What it was told in the end:" "$(<"$1/replay.out")"
  stored=$(count_history "$1" "$start")
  tell "" "In the history of that hour: $stored points; in the file, without what came twice and what is bad: $wanted"
  ((stored == wanted)) || fail "the history does not hold what was sent"
  tell "" "A driver's way, thinned out to a point every 500 m:"
  show waybill track export driver-1 --from "$start" --to 4m --min-distance 500 --format csv --out "$1/driver-1.csv"
  sed -n 1,8p "$1/driver-1.csv"
}

demo_ledger() {
  chapter "9. The ledger: every cent has two sides"
  tell "Two wallets, filled from a bank, which neither can overdraw."
  waybill ledger account create bank --currency EUR --kind gateway --json >/dev/null &&
    waybill ledger account create ida --currency EUR --kind wallet --no-overdraft --history --json >/dev/null &&
    waybill ledger account create jan --currency EUR --kind wallet --no-overdraft --json >/dev/null &&
    waybill ledger transfer create --id top-up --from bank --to ida --amount "50.00 EUR" --json >/dev/null ||
    fail "the wallets could not be opened and filled"
  tell "" "A taxi holds 30 euros, and takes 24.80 of them in the end:"
  waybill ledger transfer create --id ride --from ida --to jan --amount "30.00 EUR" --pending --expires-in 15m --json >/dev/null ||
    fail "nothing could be held"
  show waybill ledger transfer post ride --id ride-done --amount "24.80 EUR" || fail "what was held could not be posted"
  tell "" "25.20 EUR are left. 30 are refused, and that id for ever:"
  local code=0
  show waybill ledger transfer create --id too-much --from ida --to jan --amount "30.00 EUR" 2>&1 || code=$?
  ((code == 4)) || fail "an overdraft ended with exit code $code"
  show waybill ledger statement ida
  tell "" "Everything recomputed from the transfers:"
  show waybill ledger verify || fail "the ledger is not sound"
}

# Points of the hour that was over before the demo began.
count_history() { # STACK START
  psql -qXAt "$DATABASE_URL" -c \
    "SELECT count(*) FROM driver_locations WHERE recorded_at >= '$2' AND recorded_at < '$2'::timestamptz + interval '1 hour'"
}
