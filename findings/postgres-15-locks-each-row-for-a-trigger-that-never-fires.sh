#!/usr/bin/env bash
# Expected: a row trigger before updates whose WHEN is never true costs an update one evaluation of that expression a row.
# Seen (PostgreSQL 15.20, Debian 12): each row is locked first, as by SELECT ... FOR NO KEY UPDATE, which dirties it and writes a WAL
# record of its own; then the expression is looked at, and the row is updated, with the ordinary record. The same trigger
# AFTER the update looks at the expression alone. The records are small, so it shows in their number and in processor time
# (3 % of Postgres' share of an order here), hardly in bytes.
# For Waybill: order_sagas has two such triggers, which refuse steps backward and help older versions; the second changes the
# row, so it has to come before. Both stay (ADR 0031 has what it costs).
# Needs: Debian's postgresql-15. Postgres does not run as root, so root runs it as postgres.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
folder=$(mktemp -d)
as=()
((EUID == 0)) && chown postgres "$folder" && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
trap '{ "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop; rm -rf "$folder"; } >/dev/null 2>&1' EXIT
cd "$folder" || exit 2
"${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >initdb.log 2>&1 &&
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c autovacuum=off -c listen_addresses= -c unix_socket_directories=$folder" start \
    >pg_ctl.log 2>&1 || { cat ./*.log >&2; exit 2; }
ask() { psql -XAtq "host=$folder user=postgres dbname=postgres" "$@" 2>&1; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-72s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
"$bin/postgres" --version
ask <<'SQL'
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'backward'; END $$;
CREATE TABLE before_it (id int PRIMARY KEY, seq bigint) WITH (fillfactor = 40);
CREATE TABLE after_it (LIKE before_it INCLUDING ALL) WITH (fillfactor = 40);
INSERT INTO before_it SELECT n, 0 FROM generate_series(1, 1000) n;
INSERT INTO after_it SELECT n, 0 FROM generate_series(1, 1000) n;
CREATE TRIGGER forward BEFORE UPDATE ON before_it FOR EACH ROW WHEN (NEW.seq < OLD.seq) EXECUTE FUNCTION refuse();
CREATE TRIGGER forward AFTER UPDATE ON after_it FOR EACH ROW WHEN (NEW.seq < OLD.seq) EXECUTE FUNCTION refuse();
CHECKPOINT;
SQL
# The records of an update of all rows, by kind.
records() { # TABLE KIND
  local from to
  from=$(ask -c "SELECT pg_current_wal_insert_lsn()")
  ask -c "UPDATE $1 SET seq = seq + 1"
  to=$(ask -c "SELECT pg_current_wal_flush_lsn()")
  "${as[@]}" "$bin/pg_waldump" -p data/pg_wal -s "$from" -e "$to" 2>/dev/null | grep -c "desc: $2 "
}
expect "WAL records that lock a row, trigger before, 1,000 rows" 1000 "$(records before_it LOCK)"
expect "WAL records that lock a row, trigger after, 1,000 rows" 0 "$(records after_it LOCK)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
