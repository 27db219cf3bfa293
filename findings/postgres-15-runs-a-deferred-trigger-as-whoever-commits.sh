#!/usr/bin/env bash
# Expected: a trigger of a table runs as the role that wrote the row. A SECURITY DEFINER function that writes rows for callers who
# have no rights on the table needs no more rights for them when the table's constraint trigger is deferred.
# Seen (PostgreSQL 15, Debian 12): a deferred trigger runs as the role that is current at the commit. The function succeeds, all rows
# are written, and the COMMIT fails with "permission denied for table postings" in the trigger's own SELECT, for each caller without
# rights, while the tests, run by the owner, pass. With SET CONSTRAINTS ALL IMMEDIATE before the function, or in it, the trigger runs
# as the definer; so it does when the trigger's function is SECURITY DEFINER itself. From PostgreSQL 18 on the role is
# the one that was current when the row was written, says its release notes.
# For Waybill: its audit's deferred trigger is SECURITY DEFINER itself (audit_chain, migration 0016), and so must be each one on a
# table that a role without rights there writes by way of a function.
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
sql() { psql -XAtq -v VERBOSITY=terse -v ON_ERROR_STOP=1 "host=$folder user=postgres dbname=postgres" 2>&1; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-46s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
"$bin/postgres" --version
sql <<'SQL' || { echo "this has changed"; exit 1; }
CREATE ROLE teller;
CREATE TABLE postings (tx bigint, amount_minor bigint);
CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT sum(amount_minor) FROM public.postings WHERE tx = NEW.tx) <> 0 THEN RAISE EXCEPTION 'unbalanced'; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON postings DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION balanced();
CREATE FUNCTION book(tx bigint, amount_minor bigint) RETURNS text LANGUAGE sql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO public.postings VALUES (tx, amount_minor), (tx, -amount_minor);
  SELECT 'booked';
$$;
SQL
last() { tail -1 | sed 's/^psql:[^ ]* //'; }
expect "owner, deferred" "booked" "$(sql <<<"SELECT book(1, 1250)" | last)"
denied="ERROR:  permission denied for table postings"
expect "teller, deferred, BEGIN and SELECT book(...)" "booked" \
  "$(sql <<<"SET ROLE teller; BEGIN; SELECT book(2, 1250); ROLLBACK" | last)"
expect "teller, deferred, and COMMIT" "$denied" "$(sql <<<"SET ROLE teller; BEGIN; SELECT book(2, 1250); COMMIT" | last)"
expect "teller, SET CONSTRAINTS ALL IMMEDIATE first" "booked" \
  "$(sql <<<"SET ROLE teller; BEGIN; SET CONSTRAINTS ALL IMMEDIATE; SELECT book(3, 1250); COMMIT" | last)"
sql <<<"ALTER FUNCTION balanced() SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
expect "teller, deferred, trigger's function too" "booked" \
  "$(sql <<<"SET ROLE teller; BEGIN; SELECT book(4, 1250); COMMIT" | last)"
expect "transactions that are there" "1 3 4" "$(sql <<<"SELECT string_agg(DISTINCT tx::text, ' ') FROM postings")"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
