# ./dev bench: waybill-bench on servers of its own. ./dev bench [orders] [OPTIONS of waybill-bench orders]

verb_bench() {
  [[ ${1:-} == orders ]] && shift
  build release
  local bench="$ROOT/build/release/bin/waybill-bench" stack
  if [[ ${1:-} == --help ]]; then
    "$bench" orders --help
    return
  fi
  stack=$(mktemp -d "$STATE/bench-XXXXXX")
  # shellcheck disable=SC2064
  trap "stop_servers '$stack'; remove_stack '$stack'" EXIT
  chmod 755 "$stack"
  # shellcheck disable=SC2034  # read by start_process
  local attached=1
  start_servers "$stack"
  say "Measuring orders; every scenario takes its service and a fresh database (logs: .waybill/bench)"
  mkdir -p "$STATE/bench"
  DATABASE_URL=$DATABASE_URL REDIS_URL=$REDIS_URL \
    "$bench" orders --folder "$STATE/bench" --json "$STATE/bench/orders.json" "$@" && echo "As JSON: .waybill/bench/orders.json"
}
