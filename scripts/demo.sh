# ./dev demo: real orders through a real Postgres, Redis and payment gateway, one of each fate, step by step.

verb_demo() {
  (($# == 0)) || fail "demo: no option $1"
  local preset=${WAYBILL_DEMO_PRESET:-release}
  build "$preset" waybill waybill-order waybill-sandbox
  local bin="$ROOT/build/$preset/bin" stack attached=1 started=$SECONDS
  stack=$(mktemp -d "$STATE/demo-XXXXXX")
  # shellcheck disable=SC2064
  trap "stop_process '$stack' waybill-order; stop_process '$stack' waybill-sandbox; stop_servers '$stack'; remove_stack '$stack'" EXIT
  chmod 755 "$stack"
  PATH="$bin:$PATH"

  say "1. A private Postgres 15, Redis 7, a sandbox payment gateway and waybill-order"
  start_servers "$stack"
  export DATABASE_URL REDIS_URL
  waybill migrate || fail "the migration failed"
  start_service "$stack" waybill-sandbox "$bin/waybill-sandbox" --listen 127.0.0.1:0 --side-listen 127.0.0.1:0 --log "$stack/books.log"
  WAYBILL_SANDBOX=$(service_address "$stack" waybill-sandbox)
  export WAYBILL_SANDBOX
  demo_order_service "$stack" "$bin" 127.0.0.1:0

  say "2. A small fleet in Berlin"
  local n
  for n in 1 2 3 4 5 6; do waybill driver put "driver-$n" --at "52.52$n,13.40$n" --ttl 1h >/dev/null || fail "no driver could be put"; done
  waybill driver list

  local berlin=52.52,13.405 desert=-25.0,131.0
  say "3. An ordinary order: charged, and given the nearest driver"
  demo_order ordinary --pickup "$berlin"

  say "4. The card is declined: nothing was taken, nothing is given back"
  waybill sandbox set --target gateway --decline 1 --method Charge >/dev/null
  demo_order declined --pickup "$berlin"
  waybill sandbox set >/dev/null

  say "5. No driver far and wide: charged, then refunded"
  demo_order no-driver --pickup "$desert"

  say "6. The gateway charges, but its answers never arrive: unknown is no failure, so it is retried under the same key, then undone"
  waybill sandbox set --target gateway --lost-after 1 --method Charge >/dev/null
  demo_order no-answer --pickup "$berlin"
  waybill sandbox set >/dev/null

  say "7. A confirmed order is cancelled: refunded, and its driver is free again"
  demo_order changed-my-mind --pickup "$berlin"
  waybill order cancel "$(demo_id changed-my-mind)" --reason "changed my mind" >/dev/null || fail "cancel failed"
  waybill order get "$(demo_id changed-my-mind)"

  say "8. kill -9 in the middle of a charge; after the restart the order goes on where it stood, charged once"
  waybill sandbox set --target gateway --late 1 --late-by 600ms --method Charge >/dev/null
  waybill order create --key demo-crash --user u-demo --amount 12.50 --currency EUR --pickup "$berlin" --wait accepted >/dev/null ||
    fail "the order was not accepted"
  local address
  address=$(service_address "$stack" waybill-order)
  stop_process "$stack" waybill-order KILL
  echo "   waybill-order was killed; starting it again"
  demo_order_service "$stack" "$bin" "$address"
  demo_order crash --pickup "$berlin"
  waybill sandbox set >/dev/null

  say "9. What the operator sees: unfinished sagas (there should be none)"
  waybill saga list

  say "10. The books: Waybill's payments beside the gateway's own log, which Waybill never writes"
  waybill order list
  waybill sandbox books
  demo_check_books || fail "THE BOOKS DO NOT BALANCE"
  say "Every order ended as it should, and the books balance. Took $((SECONDS - started)) s. Next: ./dev up, ./dev help"
}

demo_order_service() { # STACK BIN LISTEN → exports WAYBILL_SERVER
  start_service "$1" waybill-order "$2/waybill-order" --listen "$3" --side-listen 127.0.0.1:0 --instance demo \
    --payment-gateway "grpc://$WAYBILL_SANDBOX" --attempts-max 2 --attempt-timeout 1s
  WAYBILL_SERVER=$(service_address "$1" waybill-order)
  export WAYBILL_SERVER
}

# Creates the order with key demo-NAME, or meets it again, and tells its story. Exit code 6: it was turned back, as some should.
demo_order() { # NAME OPTIONS...
  local name=$1 code=0
  shift
  waybill order create --key "demo-$name" --user u-demo --amount 12.50 --currency EUR "$@" >/dev/null || code=$?
  ((code == 0 || code == 6)) || fail "order create ended with $code"
  waybill order get "$(demo_id "$name")"
}

demo_id() { # NAME
  psql -qAtX "$DATABASE_URL" -c "SELECT order_id FROM order_sagas WHERE idempotency_key = 'demo-$1'"
}

# Fates as promised, every order's money where it belongs, and no two charges anywhere.
demo_check_books() {
  local fates wrong
  fates=$(psql -qAtX "$DATABASE_URL" -c "SELECT string_agg(state::text, ' ' ORDER BY created_at) FROM order_sagas")
  [[ $fates == "succeeded compensated compensated compensated compensated succeeded" ]] || { echo "fates: $fates"; return 1; }
  wrong=$(psql -qAtX "$DATABASE_URL" -c "SELECT count(*) FROM order_sagas s LEFT JOIN payments p USING (order_id)
    WHERE CASE s.state WHEN 'succeeded' THEN p.amount_minor IS DISTINCT FROM s.amount_minor OR p.refund_minor IS NOT NULL
               ELSE p.amount_minor IS DISTINCT FROM p.refund_minor END")
  [[ $wrong == 0 ]] || { echo "$wrong orders are not paid as their state says"; return 1; }
  waybill sandbox books --json | python3 -c '
import json, sys
net = 0
for line in sys.stdin:
    entry = json.loads(line)
    charged, refunded = int(entry.get("charged_minor", 0)), int(entry.get("refunded_minor", 0))
    net += charged - refunded
    assert int(entry.get("charges", 0)) <= 1, "charged twice: " + line
print(f"the gateway holds {net} minor units: two confirmed orders of 1250")
sys.exit(0 if net == 2500 else 1)'
}
