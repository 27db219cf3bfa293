#!/usr/bin/env bash
# Expected: pgloader, which makes a PostgreSQL database of an SQLite one, keeps the values; where a type has no equal it takes a wider one.
# SQLite's REAL is a number of eight bytes, in whatever column.
# Guessed: decimal(18,2) would lose digits on its way through binary fractions.
# Seen (pgloader 3.6.9, Debian 12, which calls itself 3.6.7): decimal is right to the cent. A column that is declared real becomes PostgreSQL's
# real, which has four bytes and seven digits; double and float, the same to SQLite, become double precision. 199999.99 is 199999.98,
# 33333333.33 is 33333334, a longitude of -122.419416 is -122.41942. The load reports no error and as many rows; a sum over the
# column tells.
# For Waybill: amounts are bigint of minor units, positions double precision. Who comes from SQLite adds "CAST type real to float8 using
# float-to-string" to the load file.
# Needs: Debian's pgloader 3.6.9, sqlite3, postgresql-15; as root or as who may run it.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
command -v pgloader sqlite3 >/dev/null || { echo "needs Debian's pgloader and sqlite3" >&2; exit 2; }
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
sqlite3 old.db "
  CREATE TABLE payments (id integer PRIMARY KEY, amount real, doubled double, floated float, exact decimal(18,2), lng real);
  INSERT INTO payments VALUES (1, 12.10, 12.10, 12.10, 12.10, 13.404954),
                              (2, 199999.99, 199999.99, 199999.99, 12345678901234.56, -122.419416),
                              (3, 33333333.33, 33333333.33, 33333333.33, 1000000000.07, 0);"
failed=0
load() { # CLAUSE
  cat >old.load <<COMMAND
LOAD DATABASE FROM sqlite://$folder/old.db INTO postgresql://postgres@unix:$folder:5432/postgres WITH include drop, create tables $1;
COMMAND
  HOME=$folder pgloader --root-dir "$folder/loader" old.load >load.log 2>&1 || { cat load.log; failed=1; }
  ! grep -qE 'ERROR|FATAL' load.log || { cat load.log; failed=1; }
}
expect() { # WANTED SQL
  local seen
  seen=$(psql -XAtq "host=$folder user=postgres dbname=postgres" -c "SELECT $2 FROM payments" 2>&1 | paste -sd ' ')
  printf '%-44s %s\n' "$2" "$seen"
  [[ $seen == "$1" ]] || failed=1
}
version=$(pgloader --version 2>&1)
echo "${version%%$'\n'*}"
"$bin/postgres" --version
load ""
expect "real" "DISTINCT pg_typeof(amount)"
expect "12.1 199999.98 3.3333334e+07" "amount"
expect "12.1 199999.99 33333333.33" "doubled"
expect "12.1 199999.99 33333333.33" "floated"
expect "12.10 12345678901234.56 1000000000.07" "exact"
expect "13.404954 -122.41942 0" "lng"
load "CAST type real to float8 using float-to-string"
expect "12.1 199999.99 33333333.33" "amount"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
