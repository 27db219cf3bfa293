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
  need_packages "${PACKAGES[@]}" "${TEST_PACKAGES[@]}"
  fetch_client_modules
  build "$preset"

  local stack started=$SECONDS
  stack=$(make_test_stack)
  [[ -n $stack ]] || fail "no folder for the tests' servers could be made"
  # shellcheck disable=SC2064
  trap "stop_servers '$stack'; remove_stack '$stack'" EXIT
  chmod 755 "$stack"
  # shellcheck disable=SC2034  # read by start_process
  local attached=1
  start_servers "$stack"
  make_test_tmp "$stack"

  say "Testing ($preset${long:+, long forms})"
  local log="$STATE/test-$preset.log" code
  # One more than there are cores: the tests that take longest wait, for servers that are killed and leases that run out.
  mkdir "$stack/results"
  WAYBILL_TEST_DATABASE_URL=$DATABASE_URL WAYBILL_TEST_REDIS_URL=$REDIS_URL WAYBILL_TEST_LONG=$long \
    GTEST_OUTPUT="xml:$stack/results/" \
    CTEST_OUTPUT_ON_FAILURE=1 ctest --test-dir "build/$preset" -j $(($(nproc) + 1)) -R "$filter" --no-tests=error 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  summary "$log" "$stack/results" $((SECONDS - started))
  return "$code"
}

# Stock clients from npm, as the lock file has them. Without a network their tests are skipped.
fetch_client_modules() {
  local clients="$ROOT/tests/clients"
  [[ $clients/node_modules/.package-lock.json -nt $clients/package-lock.json ]] && return
  mkdir -p "$STATE"
  say "Fetching the clients' packages from npm"
  npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund >"$STATE/npm.log" 2>&1 ||
    echo "dev: they cannot be fetched, and their tests are skipped (the log: $STATE/npm.log)" >&2
}

# A folder in memory where there is enough: the tests make and drop many hundred databases, of 300 files each, and ext4
# looks long for inodes that it has not just freed. Nothing here outlives a power cut anyway.
make_test_stack() {
  local stack
  if [[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && $(df --output=avail -k /dev/shm | tail -n 1) -gt $((8 << 20)) ]]; then
    # Of runs that were killed. Not by pid: another container may share the folder.
    find /dev/shm -mindepth 1 -maxdepth 1 -name 'waybill-test-*' -user "$EUID" -mmin +1440 -exec rm -rf {} +
    # One test builds a program and runs it, which some mount options forbid.
    if stack=$(mktemp -d /dev/shm/waybill-test-XXXXXX) && install -m 755 "$(type -P true)" "$stack/true" && "$stack/true" 2>/dev/null; then
      rm "$stack/true"
      echo "$stack"
      return
    fi
    [[ -z $stack ]] || rm -rf "$stack"
  fi
  mktemp -d "$STATE/test-XXXXXX"
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

# Counts the tests inside each program. A program that failed without naming a failed test, as by a crash or a timeout,
# counts as one failure; one that keeps no results of its own counts as one test.
summary() { # CTEST_LOG RESULTS SECONDS
  local name status tests failures skips passed=0 failed=0 skipped=0
  while read -r name status; do
    tests=0 failures=0 skips=0
    if [[ -f $2/$name.xml ]]; then
      tests=$(grep -oP '^<testsuites tests="\K\d+' "$2/$name.xml")
      failures=$(grep -oP '^<testsuites .*?failures="\K\d+' "$2/$name.xml")
      skips=$(grep -c '<testcase .*result="skipped"' "$2/$name.xml")
    fi
    case $status in
      Passed) ((tests > 0)) || tests=1 ;;
      '***Skipped') tests=1 skips=1 ;;
      *) ((failures > 0)) || ((tests += 1, failures = 1)) ;;
    esac
    ((passed += tests - failures - skips, failed += failures, skipped += skips))
  done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) \.+ *(Passed|\*\*\*[A-Za-z]+).*/\1 \2/p' "$1")
  echo
  ((failed == 0)) || what_failed "$1"
  ((skipped == 0)) || echo "$skipped skipped"
  echo "Tested in $3 s"
  echo "$passed passed, $failed failed"
}

# Each program that failed, with what its tests expected, or with its last lines where it says no such thing.
what_failed() { # CTEST_LOG
  awk '
    function told() {
      if (name == "") return
      print "failed: " name
      if (failures == "") for (i = count > 40 ? count - 40 : 0; i < count; i++) print "  " lines[i]
      else printf "%s", failures
      print ""
    }
    /^ *([0-9]+\/[0-9]+ Test +#[0-9]+:|Start +[0-9]+:)/ {
      told()
      name = ""; count = 0; failures = ""; inside = 0; shown = 0
      if (/\*\*\*/ && !/\*\*\*Skipped/) { sub(/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /, ""); name = $0 }
      next
    }
    name != "" {
      lines[count++] = $0
      if (/^\[  FAILED  \]|^\[ RUN|^\[       OK/) inside = 0
      if (/: Failure$/) inside = 1
      if (/^\[  FAILED  \] .* ms\)$/ || inside && shown++ < 60) failures = failures "  " substr($0, 1, 300) "\n"
    }
    END { told() }' "$1"
}
