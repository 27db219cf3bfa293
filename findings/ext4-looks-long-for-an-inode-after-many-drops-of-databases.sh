#!/usr/bin/env bash
# Expected: CREATE DATABASE costs the same, however many databases were created and dropped a moment ago.
# Seen (PostgreSQL 15.20 of Debian 12; ext4 of Linux 6.18): on ext4 it takes the longer the more were dropped within the last
# minutes, twice as long after 60 of them (232 and 469 ms), by kernel time: each is 300 files, and ext4 passes over inodes
# that were freed a short time ago, one by one, when it looks for one for a new file. On tmpfs it stays the same.
# For Waybill: a sixth of all processor time of the tests was this, since each test has a database of its own; their servers
# keep their files in /dev/shm where there is room (scripts/test.sh, ADR 0026). Services drop no databases.
# Needs: Debian's postgresql-15, an ext4 under $TMPDIR (or /tmp) and a tmpfs at /dev/shm. Postgres does not run as root, so root
# runs it as postgres.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
[[ $(stat -f -c %T "${TMPDIR:-/tmp}") == ext2/ext3 ]] || { echo "needs an ext4 under \$TMPDIR" >&2; exit 2; }
[[ $(stat -f -c %T /dev/shm) == tmpfs ]] || { echo "needs a tmpfs at /dev/shm" >&2; exit 2; }
as=()
((EUID == 0)) && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
folders=()
# shellcheck disable=SC2317
clean() {
  local folder
  for folder in "${folders[@]}"; do
    "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
    rm -rf "$folder"
  done
}
trap clean EXIT
cycle() { # FOLDER: creates and drops a database, and says how many milliseconds the creating took
  local from to
  from=$(date +%s%N)
  psql -XAtq "host=$1 user=postgres dbname=postgres" -c "CREATE DATABASE one" >/dev/null || exit 2
  to=$(date +%s%N)
  psql -XAtq "host=$1 user=postgres dbname=postgres" -c "DROP DATABASE one" >/dev/null || exit 2
  echo $(((to - from) / 1000000))
}
median() { sort -n | sed -n 3p; }
measure() { # PARENT → sets `first` and `last`: milliseconds, the median of five, before and after 60 more
  local folder
  folder=$(mktemp -d -p "$1")
  folders+=("$folder")
  ((EUID == 0)) && chown postgres "$folder"
  cd "$folder" || exit 2
  "${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >initdb.log 2>&1 &&
    "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start \
      >pg_ctl.log 2>&1 || { cat ./*.log >&2; exit 2; }
  first=$(for _ in 1 2 3 4 5; do cycle "$folder"; done | median)
  for _ in {1..60}; do cycle "$folder" >/dev/null; done
  last=$(for _ in 1 2 3 4 5; do cycle "$folder"; done | median)
}
"$bin/postgres" --version
uname -sr
failed=0
measure "${TMPDIR:-/tmp}"
echo "ext4:  $first ms at first, $last ms after 60 databases were dropped"
((last * 10 >= first * 15)) || failed=1
measure /dev/shm
echo "tmpfs: $first ms at first, $last ms after 60 databases were dropped"
((last * 10 < first * 15)) || failed=1
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
