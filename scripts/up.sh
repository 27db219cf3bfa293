# ./dev up and ./dev down: a Waybill of one's own that stays until it is stopped.

# The port a service is documented with, when nobody has it; else a free one.
preferred_port() { # PORT
  if (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then free_port; else echo "$1"; fi
}

verb_up() {
  (($# == 0)) || fail "up: no option $1"
  local stack="$STATE/up" bin="$ROOT/build/dev/bin"
  if process_runs "$stack" waybill-order; then
    say "Already up"
    describe_up "$stack"
    return
  fi
  # The preset of demo and test: whoever tries those next need not compile it all again.
  build dev waybill waybill-order waybill-ingest waybill-ledger waybill-race waybill-realtime waybill-sandbox
  mkdir -p "$stack"
  verb_down quietly  # what an earlier, broken start may have left

  # Whose servers: those of the last time are not found again where their variables are not set any more, or are now.
  local own="${DATABASE_URL:-} ${REDIS_URL:-}"
  if [[ -f $stack/own-servers && $(<"$stack/own-servers") != "$own" ]]; then
    say "The last ./dev up was on $(servers_of "$(<"$stack/own-servers")"); this one is on $(servers_of "$own"), with other data"
  fi
  echo "$own" >"$stack/own-servers"

  say "Starting"
  start_servers "$stack"
  export DATABASE_URL REDIS_URL
  "$bin/waybill" migrate ||
    fail "the migration failed; where nothing of it is needed any more, ./dev down --wipe begins anew"
  local sandbox order side ingest ingest_side ledger ledger_side realtime realtime_side
  sandbox=127.0.0.1:$(preferred_port 7420)
  order=127.0.0.1:$(preferred_port 7410)
  side=127.0.0.1:$(preferred_port 7411)
  ingest=127.0.0.1:$(preferred_port 7430)
  ingest_side=127.0.0.1:$(preferred_port 7431)
  ledger=127.0.0.1:$(preferred_port 7440)
  ledger_side=127.0.0.1:$(preferred_port 7441)
  realtime=127.0.0.1:$(preferred_port 7450)
  realtime_side=127.0.0.1:$(preferred_port 7451)
  start_service "$stack" waybill-sandbox "$bin/waybill-sandbox" --listen "$sandbox" --side-listen 127.0.0.1:0 \
    --log "$stack/books.log"
  start_service "$stack" waybill-order "$bin/waybill-order" --listen "$order" --side-listen "$side" \
    --payment-gateway "grpc://$sandbox" --payout-gateway "grpc://$sandbox" --instance dev-up
  start_service "$stack" waybill-ingest "$bin/waybill-ingest" --listen "$ingest" --side-listen "$ingest_side"
  start_service "$stack" waybill-ledger "$bin/waybill-ledger" --listen "$ledger" --side-listen "$ledger_side"
  if [[ ! -s $stack/realtime-keys.toml ]]; then
    "$bin/waybill" token make-key --id dev-up --file "$stack/realtime-keys.toml" 2>"$stack/make-key.log" || fail "no key for tokens of apps"
  fi
  start_service "$stack" waybill-realtime "$bin/waybill-realtime" --listen "$realtime" --side-listen "$realtime_side" \
    --token-keys-file "$stack/realtime-keys.toml"
  cat >"$stack/env" <<ENV
# source this file, and \`waybill\` and \`psql\` know where everything is
export WAYBILL_SERVER=$order WAYBILL_INGEST=$ingest WAYBILL_LEDGER=$ledger WAYBILL_SANDBOX=$sandbox
export WAYBILL_SIDE_PORT=$side WAYBILL_INGEST_SIDE_PORT=$ingest_side WAYBILL_LEDGER_SIDE_PORT=$ledger_side
export WAYBILL_REALTIME=ws://$realtime/ws/connect WAYBILL_REALTIME_SIDE_PORT=$realtime_side
export WAYBILL_REALTIME_KEYS='$stack/realtime-keys.toml'
export DATABASE_URL='$DATABASE_URL' REDIS_URL='$REDIS_URL'
export WAYBILL_DEV_UP="$DATABASE_URL $REDIS_URL"  # tells ./dev that these two are not servers of your own
export PATH="$bin:\$PATH"
ENV
  describe_up "$stack"
}

servers_of() { # "DATABASE_URL REDIS_URL", each may be empty: those are private servers
  local postgres=${1%% *} redis=${1#* }
  echo "${postgres:-a private Postgres} and ${redis:-a private Redis}"
}

describe_up() { # STACK
  # shellcheck source=/dev/null
  source "$1/env"
  cat <<UP

Waybill is up:
  orders (gRPC)      $WAYBILL_SERVER
  probes, metrics    http://$WAYBILL_SIDE_PORT/readyz?verbose  http://$WAYBILL_SIDE_PORT/metrics
  ingest (gRPC)      $WAYBILL_INGEST
  probes, metrics    http://$WAYBILL_INGEST_SIDE_PORT/readyz?verbose  http://$WAYBILL_INGEST_SIDE_PORT/metrics
  ledger (gRPC)      $WAYBILL_LEDGER
  probes, metrics    http://$WAYBILL_LEDGER_SIDE_PORT/readyz?verbose  http://$WAYBILL_LEDGER_SIDE_PORT/metrics
  apps (WebSocket)   $WAYBILL_REALTIME
  probes, metrics    http://$WAYBILL_REALTIME_SIDE_PORT/readyz?verbose  http://$WAYBILL_REALTIME_SIDE_PORT/metrics
  sandbox (gRPC)     $WAYBILL_SANDBOX    payment and payout gateways that misbehave on request
  Postgres           psql '$DATABASE_URL'
  Redis              redis-cli -u '$REDIS_URL'
  logs               .waybill/up/*.log

Next steps:
  source .waybill/up/env
  waybill track generate fleet.csv --minutes 10 --clean
  waybill track replay fleet.csv --speed real --shift-to-now &
  waybill driver near 52.52,13.405
  waybill order create --user u-1 --amount 12.50 --currency EUR --pickup 52.52,13.405
  waybill sandbox set --target gateway --decline 0.5
  waybill ledger account create alice --currency EUR --kind wallet --no-overdraft
  waybill token issue --token-keys-file "\$WAYBILL_REALTIME_KEYS" --tenant me --topic 'order:*'
  ./dev down
UP
}

verb_down() {
  local stack="$STATE/up" wipe="" name
  case ${1:-} in
    '') ;;
    --wipe) wipe=1 ;;
    quietly) ;;
    *) fail "down: no option $1" ;;
  esac
  for name in waybill-order waybill-ingest waybill-ledger waybill-realtime waybill-sandbox; do
    process_runs "$stack" "$name" && echo "stopping $name"
    stop_process "$stack" "$name"
  done
  for name in redis postgres; do
    if process_runs "$stack" "$name"; then echo "stopping $name"; fi
  done
  stop_servers "$stack"
  local own=" "
  [[ -f $stack/own-servers ]] && own=$(<"$stack/own-servers")
  if [[ $own != " " && ${1:-} != quietly ]]; then
    echo "it was on $(servers_of "$own"): servers of your own keep what they have, and ./dev up without their variables has another database"
  fi
  if [[ -n $wipe ]]; then
    remove_stack "$stack"
    echo "the private data of ./dev up is gone"
  elif [[ -d $stack/postgres && ${1:-} != quietly ]]; then
    echo "down; Postgres keeps its data for the next ./dev up (./dev down --wipe forgets it)"
  fi
}
