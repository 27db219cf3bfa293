# ./dev test: builds, starts the servers the tests share, runs them, and says how many passed.

verb_test() {
  local preset=dev filter=. long=
  while (($#)); do
    case $1 in
      --asan) preset=asan ;;
      --tsan) preset=tsan ;;
      --long) long=1 ;;
      --filter) filter=${2:?--filter needs a regular expression}; shift ;;
      *) fail "test: no option $1" ;;
    esac
    shift
  done
  build "$preset"

  local stack started=$SECONDS attached=1
  stack=$(mktemp -d "$STATE/test-XXXXXX")
  # shellcheck disable=SC2064
  trap "stop_servers '$stack'; remove_stack '$stack'" EXIT
  chmod 755 "$stack"
  start_servers "$stack"
  make_test_tmp "$stack"

  say "Testing ($preset${long:+, long forms})"
  local log="$STATE/test-$preset.log" code
  WAYBILL_TEST_DATABASE_URL=$DATABASE_URL WAYBILL_TEST_REDIS_URL=$REDIS_URL WAYBILL_TEST_LONG=$long \
    CTEST_OUTPUT_ON_FAILURE=1 ctest --test-dir "build/$preset" -j "$(nproc)" -R "$filter" --no-tests=error 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  summary "$log" $((SECONDS - started))
  return "$code"
}

# What the tests themselves put aside; they start servers too, as the user postgres when run by root.
make_test_tmp() { # STACK → exports TMPDIR
  local folder
  folder=$(readlink -f "$1/postgres" 2>/dev/null) || folder=
  [[ -n $folder ]] || { make_postgres_folder "$1"; folder=$(readlink -f "$1/postgres"); }
  mkdir -m 1777 "$folder/tmp"
  chmod 711 "$folder"
  export TMPDIR="$folder/tmp"
}

summary() { # LOG SECONDS
  local passed failed skipped
  passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed' "$1")
  skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*(Skipped|Not Run \(Disabled\))' "$1")
  failed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*' "$1")
  echo
  ((skipped == 0)) || echo "$skipped skipped"
  echo "Tested in $2 s"
  echo "$passed passed, $((failed - skipped)) failed"
}
