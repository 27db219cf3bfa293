#!/usr/bin/env bash
# Expected: ORDER BY id LIMIT 50 over a view of two tables (UNION ALL) costs about what it costs over each of them.
# Seen (PostgreSQL 15.20, Debian 12): where one table has few rows that match among many, found by a small partial index, and
# the other has many, the planner merges both by their primary keys, and so reads the first table from end to end: it takes the
# LIMIT's share of the whole for the share of each child. Over the first table alone the partial index serves. With a LIMIT in
# each half, and one over both, it serves again.
# For Waybill: `waybill saga list` looks through the table of each kind by itself (ADR 0029); a view is for counts only.
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
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start \
    >pg_ctl.log 2>&1 || { cat ./*.log >&2; exit 2; }
ask() { psql -XAt "host=$folder user=postgres dbname=postgres" "$@" 2>&1; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-52s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
# How many rows of `orders` that do not match a query has to look at to answer.
looked_at() { # QUERY
  ask -c "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $1" >plan
  awk '/Scan.* on orders/ {on = 1; next} /Scan.* on / {on = 0} on && /Rows Removed by Filter/ {n += $NF} END {print (n > 100000 ? "all that have ended" : "none that has ended")}' plan
}
"$bin/postgres" --version
ask -q <<'SQL'
CREATE TABLE orders (id bigint PRIMARY KEY, lease timestamptz, wakes timestamptz);
CREATE INDEX ON orders (lease) WHERE lease IS NOT NULL;
CREATE INDEX ON orders (wakes) WHERE lease IS NULL AND wakes IS NOT NULL;
CREATE TABLE others (LIKE orders INCLUDING ALL);
INSERT INTO orders SELECT n, CASE WHEN n > 199960 THEN now() END, NULL FROM generate_series(1, 200000) n;
INSERT INTO others SELECT n, NULL, CASE WHEN n > 100000 THEN now() END FROM generate_series(1, 200000) n;
CREATE VIEW both_of_them AS SELECT * FROM orders UNION ALL SELECT * FROM others;
VACUUM ANALYZE orders;
VACUUM ANALYZE others;
SQL
open="(lease IS NOT NULL OR (lease IS NULL AND wakes IS NOT NULL)) ORDER BY id LIMIT 51"
expect "the table alone looks at" "none that has ended" "$(looked_at "SELECT id FROM orders WHERE $open")"
expect "the view looks at" "all that have ended" "$(looked_at "SELECT id FROM both_of_them WHERE $open")"
expect "a LIMIT in each half, and one over both, look at" "none that has ended" \
  "$(looked_at "SELECT id FROM ((SELECT id FROM orders WHERE $open) UNION ALL (SELECT id FROM others WHERE $open)) h ORDER BY id LIMIT 51")"
((failed == 0)) && echo "still so" || { echo "this has changed"; cat plan; }
exit "$failed"
