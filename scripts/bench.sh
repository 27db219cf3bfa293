# ./dev bench: waybill-bench on servers of its own.
# ./dev bench [orders|locations] [--against COMMIT] [OPTIONS of waybill-bench orders or locations]
# ./dev bench ledger|race [OPTIONS of waybill-bench ledger or race]

readonly BENCH_SERVERS=(waybill-order waybill-ingest waybill-sandbox)
readonly RACE_SERVERS=(waybill-order waybill-race waybill-sandbox)
readonly LEDGER_SERVERS=(waybill-ledger)

# The servers of an earlier commit, built by its own release preset; from its files alone, so that git knows of no second
# work tree. Made once: what stands in .waybill/against/<sha>/bin is whole.
build_against() { # SHA → sets AGAINST_BINARIES
  local sha=$1 folder="$STATE/against/$1"
  AGAINST_BINARIES="$folder/bin"
  if [[ -d $AGAINST_BINARIES ]]; then
    rm -rf "$folder/tree"  # of a run that was killed at its end
    return
  fi
  say "Building $(git log -1 --format='%h of %cs, "%s"' "$sha") to compare with; kept for later runs in ${folder#"$ROOT/"}"
  if [[ ! -d $folder/tree ]]; then
    rm -rf "$folder/unpacking"
    mkdir -p "$folder/unpacking"
    git archive "$sha" | tar -x -C "$folder/unpacking" || fail "--against: the files of $sha could not be unpacked"
    mv "$folder/unpacking" "$folder/tree"
  fi
  (cd "$folder/tree" && build release "${BENCH_SERVERS[@]}") || fail "--against: $sha could not be built in $folder/tree"
  rm -rf "$folder/copying"
  mkdir "$folder/copying"
  cp "${BENCH_SERVERS[@]/#/$folder/tree/build/release/bin/}" "$folder/copying" || fail "--against: $sha lacks servers"
  mv "$folder/copying" "$AGAINST_BINARIES"
  rm -rf "$folder/tree"
}

no_commit() { fail "--against needs a commit to compare with: ./dev bench $1 --against COMMIT"; }

verb_bench() {
  local what=orders against='' sha='' arguments=() AGAINST_BINARIES=''
  if [[ ${1:-} =~ ^(orders|locations|ledger|race)$ ]]; then
    what=$1
    shift
  fi
  while (($#)); do
    case $1 in
      --against)
        against=${2:-}
        [[ -n $against ]] || no_commit "$what"
        shift
        ;;
      --against=*)
        against=${1#*=}
        [[ -n $against ]] || no_commit "$what"
        ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  if [[ -n $against ]]; then  # before anything takes long
    [[ $what != race ]] || fail "race compares with a plain queue with workers, and not with a commit"
    [[ $what != ledger ]] || fail "ledger compares with a transaction a transfer, and not with a commit"
    sha=$(git rev-parse --verify --quiet --end-of-options "$against^{commit}") ||
      fail "--against $against: no such commit here (a shallow clone has the older ones after git fetch --unshallow)"
  fi
  local bench="$ROOT/build/release/bin/waybill-bench" stack
  if [[ " ${arguments[*]} " == *' --help '* || " ${arguments[*]} " == *' -h '* ]]; then
    [[ -x $bench ]] || build release waybill-bench
    "$bench" "$what" --help
    return
  fi
  local targets=(waybill-bench "${BENCH_SERVERS[@]}")
  if [[ $what == race ]]; then
    need_packages "${RACE_PACKAGES[@]}"
    targets=(waybill-bench "${RACE_SERVERS[@]}")
  elif [[ $what == ledger ]]; then
    targets=(waybill-bench "${LEDGER_SERVERS[@]}")
  elif [[ $what == orders ]]; then
    targets+=(curl_loop)
  fi
  build release "${targets[@]}"
  if [[ -n $against ]]; then
    build_against "$sha"
    arguments+=(--against "$AGAINST_BINARIES")
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
    "$bench" "$what" --folder "$STATE/bench" --json "$STATE/bench/$what.json" "${arguments[@]}" &&
    echo "As JSON: .waybill/bench/$what.json"
}
