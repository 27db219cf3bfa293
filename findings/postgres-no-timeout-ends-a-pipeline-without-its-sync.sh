#!/usr/bin/env bash
# Expected: a client that has changed a row and then falls silent before its transaction ends is ended by
# idle_in_transaction_session_timeout, "idle (that is, waiting for a client query) within an open transaction"; at the latest by
# statement_timeout or idle_session_timeout.
# Seen (PostgreSQL 15.20 and its libpq, Debian 12): not when the client is in the middle of a pipeline, between an executed
# statement and the Sync. All four timeouts of 300 ms together do not end it; it counts as "active", waiting for ClientRead; its
# row stays locked; pg_cancel_backend says true and does nothing. Only pg_terminate_backend, or the end of the client's
# process, ends it. The server resets statement_timeout after each Execute, and starts the others only when it says
# ReadyForQuery, which answers a Sync. (A client that is frozen but whose kernel lives also answers keepalives.)
# For Waybill: libpq sends a pipeline in parts as soon as 8 KiB have come together, so a process that is frozen (docker pause,
# a suspended machine) while it hands over a batch keeps that batch's rows locked until it goes on or is ended; the timeouts
# that an operator sets in Postgres are no remedy, and recovery passes over locked rows. In pg_stat_activity it is state
# "active" with wait_event "ClientRead".
# Needs: Debian's gcc, libpq-dev and postgresql-15. Postgres does not run as root, so root runs it as postgres.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres && -f /usr/include/postgresql/libpq-fe.h ]] || { echo "needs postgresql-15 and libpq-dev" >&2; exit 2; }
folder=$(mktemp -d)
as=()
((EUID == 0)) && chown postgres "$folder" && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
stop() {
  "${as[@]}" "$bin/pg_ctl" -D data -m immediate stop
  rm -rf "$folder"
}
trap 'stop >/dev/null 2>&1' EXIT
cd "$folder" || exit 2
cat >silent.c <<'C'
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char* folder;
static int failed = 0;

static PGconn* Open(const char* options) {
  const char* keys[] = {"host", "user", "dbname", "options", NULL};
  const char* values[] = {folder, "postgres", "postgres", options, NULL};
  PGconn* conn = PQconnectdbParams(keys, values, 0);
  if (PQstatus(conn) == CONNECTION_OK) return conn;
  fputs(PQerrorMessage(conn), stderr);
  exit(2);
}

// The first value, else the error's code, else the command's tag.
static const char* Ask(PGconn* conn, const char* query) {
  static char answer[200];
  PGresult* result = PQexec(conn, query);
  const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  snprintf(answer, sizeof answer, "%s",
           PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : code != NULL ? code : PQcmdStatus(result));
  PQclear(result);
  return answer;
}

static void Expect(const char* what, const char* wanted, const char* seen) {
  printf("%-62s %s\n", what, seen);
  if (strcmp(wanted, seen) != 0) failed = 1;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  folder = argv[1];
  const char* short_timeouts =
      "-c statement_timeout=300 -c lock_timeout=300 -c idle_in_transaction_session_timeout=300 -c idle_session_timeout=300";
  PGconn* other = Open("-c lock_timeout=300");
  Ask(other, "CREATE TABLE money (id int PRIMARY KEY, amount int)");
  Ask(other, "INSERT INTO money VALUES (1, 0), (2, 0)");

  PGconn* block = Open(short_timeouts);
  Ask(block, "BEGIN");
  Ask(block, "UPDATE money SET amount = 1 WHERE id = 1");
  char of_it[200];
  snprintf(of_it, sizeof of_it, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d", PQbackendPID(block));
  Ask(other, "SELECT pg_sleep(1.5)");
  Expect("BEGIN, UPDATE, silence: sessions left, five timeouts later", "0", Ask(other, of_it));
  Expect("its row, changed by another", "UPDATE 1", Ask(other, "UPDATE money SET amount = 2 WHERE id = 1"));

  PGconn* pipeline = Open(short_timeouts);
  PQenterPipelineMode(pipeline);
  PQsendQueryParams(pipeline, "UPDATE money SET amount = 1 WHERE id = 2", 0, NULL, NULL, NULL, NULL, 0);
  PQsendFlushRequest(pipeline);
  PQflush(pipeline);
  PGresult* result = PQgetResult(pipeline);
  Expect("a pipeline's UPDATE, no Sync, silence", "UPDATE 1", PQcmdStatus(result));
  PQclear(result);
  Ask(other, "SELECT pg_sleep(1.5)");
  snprintf(of_it, sizeof of_it, "SELECT state || ', ' || wait_event FROM pg_stat_activity WHERE pid = %d", PQbackendPID(pipeline));
  Expect("its session, five timeouts later", "active, ClientRead", Ask(other, of_it));
  Expect("its row, changed by another", "55P03", Ask(other, "UPDATE money SET amount = 2 WHERE id = 2"));
  snprintf(of_it, sizeof of_it, "SELECT pg_cancel_backend(%d)", PQbackendPID(pipeline));
  Expect("pg_cancel_backend", "t", Ask(other, of_it));
  Expect("and then its row, changed by another", "55P03", Ask(other, "UPDATE money SET amount = 2 WHERE id = 2"));
  PQpipelineSync(pipeline);
  PQclear(PQgetResult(pipeline));
  result = PQgetResult(pipeline);
  Expect("its Sync, at last", "PGRES_PIPELINE_SYNC", PQresStatus(PQresultStatus(result)));
  PQclear(result);
  Expect("and the amount is its", "1", Ask(other, "SELECT amount FROM money WHERE id = 2"));

  // What libpq does by itself once more than 8 KiB have come together, whoever freezes then.
  PGconn* large = Open(short_timeouts);
  char text[10001];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = 0;
  const char* parameters[] = {text};
  PQenterPipelineMode(large);
  PQsendQueryParams(large, "UPDATE money SET amount = 1 WHERE id = 1", 0, NULL, NULL, NULL, NULL, 0);
  PQsendQueryParams(large, "SELECT length($1)", 1, NULL, parameters, NULL, NULL, 0);
  Ask(other, "SELECT pg_sleep(1.5)");
  Expect("UPDATE and 10 kB more, nothing flushed: its row, by another", "55P03",
         Ask(other, "UPDATE money SET amount = 2 WHERE id = 1"));
  PQfinish(large);
  PQfinish(block);
  PQfinish(pipeline);
  PQfinish(other);
  return failed;
}
C
gcc -O1 -Wall -I/usr/include/postgresql silent.c -lpq -o silent || exit 2
"${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >initdb.log 2>&1 &&
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start \
    >pg_ctl.log 2>&1 || { cat ./*.log >&2; exit 2; }
"$bin/postgres" --version
./silent "$folder" && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
