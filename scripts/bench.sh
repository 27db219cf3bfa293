# ./dev bench: waybill-bench on servers of its own.
# ./dev bench [orders|locations] [OPTIONS of waybill-bench orders or locations]

verb_bench() {
  local what=orders
  if [[ ${1:-} == orders || ${1:-} == locations ]]; then
    what=$1
    shift
  fi
  build release waybill-bench waybill-order waybill-ingest waybill-sandbox
  local bench="$ROOT/build/release/bin/waybill-bench" stack
  if [[ ${1:-} == --help ]]; then
    "$bench" "$what" --help
    return
  fi
  stack=$(mktemp -d "$STATE/bench-XXXXXX")
  # shellcheck disable=SC2064
  trap "stop_servers '$stack'; remove_stack '$stack'" EXIT
  chmod 755 "$stack"
  # shellcheck disable=SC2034  # read by start_process
  local attached=1
  start_servers "$stack"
  say "Measuring $what; every scenario takes its service and a fresh database (logs: .waybill/bench)"
  mkdir -p "$STATE/bench"
  DATABASE_URL=$DATABASE_URL REDIS_URL=$REDIS_URL \
    "$bench" "$what" --folder "$STATE/bench" --json "$STATE/bench/$what.json" "$@" && echo "As JSON: .waybill/bench/$what.json"
}
