#!/usr/bin/env bash
# Expected: an update that changes no indexed value is heap-only (HOT) when there is room on the page; an index with WHERE counts for
# the rows that are in it.
# Seen (PostgreSQL 15.20, Debian 12): a column that any index names in its WHERE counts as indexed for every row of the table. A row that
# is in that index neither before nor after the update gets new entries in all the others. A partial index over a handful of
# rows, say of work that is due, so makes every last update of the table write all of its indexes: here four entries of an order's
# twelve. (BRIN indexes are no way out in 15: they count as well; from 16 on they do not.)
# For Waybill: two indexes of order_sagas named lease_until, which the end of each order changes. What it cost is in ADR 0031, and
# how it goes without in ADR 0034.
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
CREATE TABLE plain (id int PRIMARY KEY, lease timestamptz, wakes timestamptz) WITH (fillfactor = 40);
CREATE TABLE partial (LIKE plain INCLUDING ALL) WITH (fillfactor = 40);
CREATE TABLE brin (LIKE plain INCLUDING ALL) WITH (fillfactor = 40);
CREATE INDEX ON partial (wakes) WHERE wakes IS NOT NULL AND lease IS NULL;
CREATE INDEX ON brin USING brin (lease);
INSERT INTO plain SELECT n, now(), NULL FROM generate_series(1, 1000) n;
INSERT INTO partial SELECT * FROM plain;
INSERT INTO brin SELECT * FROM plain;
SQL
heap_only() { # TABLE: of its 1,000 rows, how many updates were
  ask -c "UPDATE $1 SET lease = NULL" -c "SELECT pg_stat_force_next_flush()" >/dev/null
  ask -c "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = '$1'"
}
expect "heap-only updates of 1,000, no index names the column" 1000 "$(heap_only plain)"
expect "heap-only updates of 1,000, an index names it in its WHERE" 0 "$(heap_only partial)"
expect "rows in that index" 0 "$(ask -c "SELECT count(*) FROM partial WHERE wakes IS NOT NULL AND lease IS NULL")"
expect "heap-only updates of 1,000, a BRIN index has the column" 0 "$(heap_only brin)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
