#!/usr/bin/env bash
# Expected: to_number(text, '9999') either passes over what is no digit, as it does behind the number, or says that it cannot.
# Seen (PostgreSQL 15.18, Debian 12): what stands before the number uses up the template, byte by byte, and the digits for which
# none of it is left are cut off from the end: '$1250' is 125, 'EUR 1250' and '€1250' are 1, and '1250' with a template that is
# one short is 125, too. '1250 EUR' is 1250, and so is '€1250' with L before the template. to_char marks a number that does not
# fit (###); to_number says nothing.
# For Waybill: amounts are whole numbers everywhere, and nothing of ours calls it. Who loads a gateway's report into a table to compare
# it with `payments` takes the currency off first and casts to numeric, which says what it cannot read.
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
failed=0
expect() { # WANTED SQL
  local seen
  seen=$(psql -XAtq -v VERBOSITY=terse "host=$folder user=postgres dbname=postgres client_encoding=UTF8" -c "SELECT $2" 2>&1)
  printf '%-38s %s\n' "$2" "$seen"
  [[ $seen == "$1" ]] || failed=1
}
"$bin/postgres" --version
expect 1250 "to_number('1250', '9999')"
expect 1250 "to_number('1250 EUR', '9999')"
expect 125 "to_number('\$1250', '9999')"
expect 1 "to_number('EUR 1250', '9999')"
expect 1 "to_number('€1250', '9999')"
expect 1250 "to_number('€1250', 'L9999')"
expect 1250.7 "to_number('\$1250.75', '9999.99')"
expect 125 "to_number('1250', '999')"
expect " ###" "to_char(1250, '999')"
expect "ERROR:  invalid input syntax for type numeric: \"\$1250\" at character 8" "'\$1250'::numeric"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
