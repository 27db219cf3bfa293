#!/usr/bin/env bash
# Expected: what pgbouncer tells a client at its login about default_transaction_read_only is what its server session says; at
# the latest once pgbouncer itself has opened a session that says otherwise.
# Seen (pgbouncer 1.18.0, Debian 12, before PostgreSQL 15.20): the first session's announcements are kept for the database and
# user and handed to everybody, also when that session has ended, the setting is back to off, and a new session has said so.
# libpq believes them: with target_session_attrs=read-write it refuses for good ("session is read-only"), while without it
# SHOW answers off. RELOAD changes nothing; RECONNECT on pgbouncer's console, or a restart, does. (in_hot_standby after a
# failover is known to do the same: pgbouncer's issue 859.)
# For Waybill: it does not go by the announcements of a login but asks each new session by SQL whether it takes writes, so a
# database that was made read-only for a while is used again by itself, through pgbouncer too. With target_session_attrs in
# DATABASE_URL it is libpq that refuses: leave that out behind pgbouncer.
# Needs: Debian's postgresql-15 and pgbouncer 1.18.0. Neither runs as root, so root runs them as postgres.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
[[ $(pgbouncer --version 2>/dev/null) == "PgBouncer 1.18.0"* ]] || { echo "needs pgbouncer 1.18.0" >&2; exit 2; }
folder=$(mktemp -d)
as=()
((EUID == 0)) && chown postgres "$folder" && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
pooler=
stop() {
  [[ -n $pooler ]] && kill "$pooler" && wait "$pooler"
  "${as[@]}" "$bin/pg_ctl" -D data -m immediate stop
  rm -rf "$folder"
}
trap 'stop >/dev/null 2>&1' EXIT
cd "$folder" || exit 2
"${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >initdb.log 2>&1 &&
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start \
    >pg_ctl.log 2>&1 || { cat ./*.log >&2; exit 2; }
cat >pgbouncer.ini <<INI
[databases]
* = host=$folder port=5432 user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = $folder
auth_type = any
pool_mode = transaction
admin_users = postgres
INI
start_pooler() {
  "${as[@]}" pgbouncer pgbouncer.ini >>pgbouncer.log 2>&1 &
  pooler=$!
  for _ in $(seq 200); do [[ -S .s.PGSQL.6432 ]] && return; sleep 0.05; done
  cat pgbouncer.log >&2
  exit 2
}
direct() { psql -XAtq "host=$folder port=5432 user=postgres dbname=$1" -c "$2"; }
pooled() { # [OPTION OF THE CONNECTION]: what the server says, or why there is no connection
  psql -XAtq "host=$folder port=6432 user=postgres dbname=x $1" -c "SHOW default_transaction_read_only" 2>&1 | sed 's/.*: //'
}
console() { psql -XAtq "host=$folder port=6432 user=postgres dbname=pgbouncer" -c "$1" >/dev/null; }
end_sessions() { direct postgres "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = 'x'" >/dev/null; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-62s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}

pgbouncer --version | head -n 1
"$bin/postgres" --version
direct postgres "CREATE DATABASE x"
direct postgres "ALTER DATABASE x SET default_transaction_read_only = on"
start_pooler
expect "while it is on, the server says" on "$(pooled '')"
direct postgres "ALTER DATABASE x RESET default_transaction_read_only"
end_sessions
expect "after RESET and the end of the session, directly" off "$(direct x "SHOW default_transaction_read_only")"
expect "through the pooler, read-write wanted" "session is read-only" "$(pooled target_session_attrs=read-write)"
expect "through the pooler, anything wanted" off "$(pooled '')"
expect "again read-write, now that it has a new session itself" "session is read-only" "$(pooled target_session_attrs=read-write)"
console RELOAD
expect "after RELOAD, read-write wanted" "session is read-only" "$(pooled target_session_attrs=read-write)"
console RECONNECT
expect "after RECONNECT, read-write wanted" off "$(pooled target_session_attrs=read-write)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
