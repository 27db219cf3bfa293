#!/usr/bin/env bash
# Expected: jsonpath's datetime() takes the times of JSON: RFC 3339, as JavaScript's toISOString() and protobuf's JSON write it.
# Seen (PostgreSQL 15.18, Debian 12): it knows +00:00, which to_jsonb(now()) has, but no Z, which a cast to timestamptz takes. By
# itself it says so. In a filter, where it is of use, an error counts as "unknown", and so does its negation: such a time is neither
# after nor not after any other. Rows that the database wrote are found, those that a client wrote are not, without a word.
# For Waybill: `metadata` of an order is jsonb and the client's own; a time that it put there ends in Z as a rule. Reports over it cast:
# (metadata->>'pickup_after')::timestamptz.
# Needs: Debian's postgresql-15. Postgres does not run as root, so root runs it as postgres.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
folder=$(mktemp -d)
as=()
((EUID == 0)) && chown postgres "$folder" && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
trap '{ "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop; rm -rf "$folder"; } >/dev/null 2>&1' EXIT
cd "$folder" || exit 2
if ! { "${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data &&
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start; } \
  >start.log 2>&1; then
  cat ./*.log >&2
  exit 2
fi
ask() { psql -XAtq -v VERBOSITY=terse "host=$folder user=postgres dbname=postgres options='-c timezone=UTC'" -c "$1" 2>&1; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-46s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
"$bin/postgres" --version
ask "CREATE TABLE orders (written text, metadata jsonb);
INSERT INTO orders SELECT t, jsonb_build_object('at', t) FROM unnest('{2026-11-29T10:00:00Z, 2026-11-29T10:00:00.500Z,
  2026-11-29T10:00:00+00:00, 2026-11-29T10:00:00.500+00:00}'::text[]) t;
INSERT INTO orders VALUES ('by to_jsonb', jsonb_build_object('at', timestamptz '2026-11-29 10:00:00Z'))"
found() { # CONDITION: which of the five
  ask "SELECT count(*) FILTER (WHERE written LIKE '%Z') || ' with Z, ' || count(*) FILTER (WHERE written NOT LIKE '%Z') || ' others'
    FROM orders WHERE $1"
}
expect "there are" "2 with Z, 3 others" "$(found true)"
expect "after 2026 began, by datetime()" "0 with Z, 3 others" \
  "$(found "jsonb_path_exists_tz(metadata, '\$.at ? (@.datetime() > \"2026-01-01\".datetime())')")"
expect "not after 2026 began, by datetime()" "0 with Z, 0 others" \
  "$(found "jsonb_path_exists_tz(metadata, '\$.at ? (!(@.datetime() > \"2026-01-01\".datetime()))')")"
expect "after 2026 began, by a cast" "2 with Z, 3 others" "$(found "(metadata->>'at')::timestamptz > '2026-01-01'")"
expect "datetime() by itself" 'ERROR:  datetime format is not recognized: "2026-11-29T10:00:00Z"' \
  "$(ask "SELECT jsonb_path_query('\"2026-11-29T10:00:00Z\"', '\$.datetime()')")"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
