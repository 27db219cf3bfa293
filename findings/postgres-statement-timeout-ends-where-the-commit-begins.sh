#!/usr/bin/env bash
# Expected: statement_timeout ends whatever a statement waits for, also when that is its commit.
# Seen (PostgreSQL 15.20, Debian 12): the server switches statement_timeout off before it commits. So neither a deferred
# constraint trigger, which runs then, is bounded (an INSERT with a timeout of 300 ms takes two seconds and succeeds; the same
# trigger run by SET CONSTRAINTS ALL IMMEDIATE is ended after 300 ms), nor the wait for a synchronous standby that is not
# there: that lasts until the standby comes, or until somebody cancels it.
# For Waybill: a statement_timeout in DATABASE_URL or for the role does not bound a commit. Waybill's own deadlines for an
# answer do, and /readyz asks whether commits wait for a standby (docs/operations.md).
# Needs: Debian's postgresql-15. Postgres does not run as root, so root runs it as postgres.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
folder=$(mktemp -d)
as=()
((EUID == 0)) && chown postgres "$folder" && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
waiting=
stop() {
  "${as[@]}" "$bin/pg_ctl" -D data -m immediate stop
  [[ -n $waiting ]] && wait "$waiting"
  rm -rf "$folder"
}
trap 'stop >/dev/null 2>&1' EXIT
cd "$folder" || exit 2
"${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >initdb.log 2>&1 &&
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start \
    >pg_ctl.log 2>&1 || { cat ./*.log >&2; exit 2; }
ask() { psql -XAt "host=$folder user=postgres dbname=postgres" "$@" 2>&1; }
bounded() { PGOPTIONS='-c statement_timeout=300ms' ask "$@"; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-64s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
timed() { # COMMAND...: whether it took longer than a second, and its last line without the prefix
  local before=$EPOCHREALTIME said
  said=$("$@" | grep -v '^CONTEXT\|^SQL\|^PL/pgSQL' | tail -n 1 | sed 's/.*ERROR: *//')
  ((${EPOCHREALTIME/./} - ${before/./} > 1000000)) && echo "more than 1 s: $said" || echo "less than 1 s: $said"
}
"$bin/postgres" --version
ask -q <<'SQL'
CREATE TABLE orders (id int);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
SQL
expect "SELECT pg_sleep(2)" "less than 1 s: canceling statement due to statement timeout" "$(timed bounded -c 'SELECT pg_sleep(2)')"
expect "INSERT, deferred trigger of 2 s" "more than 1 s: INSERT 0 1" "$(timed bounded -c 'INSERT INTO orders VALUES (1)')"
expect "BEGIN, INSERT, COMMIT" "more than 1 s: COMMIT" \
  "$(timed bounded -c BEGIN -c 'INSERT INTO orders VALUES (2)' -c COMMIT)"
expect "BEGIN, INSERT, SET CONSTRAINTS ALL IMMEDIATE" "less than 1 s: canceling statement due to statement timeout" \
  "$(timed bounded -c BEGIN -c 'INSERT INTO orders VALUES (3)' -c 'SET CONSTRAINTS ALL IMMEDIATE')"
expect "orders that are there" 2 "$(ask -c 'SELECT count(*) FROM orders')"
ask -q -c "DROP TRIGGER slow ON orders" -c "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" -c "SELECT pg_reload_conf()" >/dev/null
for _ in $(seq 100); do [[ $(ask -c "SHOW synchronous_standby_names") == nobody ]] && break; sleep 0.05; done
bounded -c 'INSERT INTO orders VALUES (4)' >inserted &
waiting=$!
expect "two seconds after an INSERT without its standby, waiting in" SyncRep \
  "$(ask -c "SELECT pg_sleep(2)" -c "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'INSERT%'" | tail -n 1)"
ask -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'" >/dev/null
wait "$waiting"
waiting=
expect "once somebody cancels it" "INSERT 0 1" "$(tail -n 1 inserted)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
