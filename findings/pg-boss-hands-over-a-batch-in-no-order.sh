#!/usr/bin/env bash
# Expected: a queue that hands over its jobs by priority and then by age does so within a batch, too: batchSize 20 of twenty jobs is all of
# them, the oldest first.
# Guessed: so it is; a batch of which one fails is tried again as a whole.
# Seen (pg-boss 12.38.0 and 10.4.2, on PostgreSQL 15.18): which jobs are in the batch goes by priority and age, but within it they stand in no
# order, another one each time, as its UPDATE joins them by their ids and returns rows as they come. Both fetch() and work() give them so.
# A handler that goes through its batch sets an order to delivered and then to picked up; what was sent with a high priority may be last. With
# batchSize 1, the default, they come in order. (A batch is tried again as a whole.)
# For Waybill: its events have a version of the order each. Who passes them on by pg-boss in batches sorts each batch by createdOn or by that
# version.
# Needs: node and npm, which installs it into a temporary folder; Debian's postgresql-15.
set -uo pipefail
bin=/usr/lib/postgresql/15/bin
[[ -x $bin/postgres ]] || { echo "needs postgresql-15" >&2; exit 2; }
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
as=()
((EUID == 0)) && chown postgres "$folder" && as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
trap '{ "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop; rm -rf "$folder"; } >/dev/null 2>&1' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit pg-boss@12.38.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
if ! { "${as[@]}" "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data &&
  "${as[@]}" "$bin/pg_ctl" -D data -l postgres.log -w -o "-F -c listen_addresses= -c unix_socket_directories=$folder" start; } \
  >start.log 2>&1; then
  cat ./*.log >&2
  exit 2
fi
cat >batch.mjs <<'JS'
import { PgBoss } from "pg-boss";

const boss = new PgBoss({ host: process.argv[2], user: "postgres", database: "postgres" });
boss.on("error", ({ message }) => console.log(message));
await boss.start();
let failed = false;
const numbers = Array.from({ length: 20 }, (_, number) => number);
const expect = (what, inOrder, seen) => {
  console.log(what.padEnd(18), seen.join(" "));
  const sorted = [...seen].sort((a, b) => a - b);
  failed ||= seen.length !== 20 || (seen.join() === sorted.join()) !== inOrder;
};
const send = async (name) => {
  await boss.createQueue(name);
  for (const number of numbers) await boss.send(name, { number });
};
await send("fetched");
expect("fetch, 20", false, (await boss.fetch("fetched", { batchSize: 20 })).map(({ data }) => data.number));
await send("worked");
const worked = await new Promise((done) => boss.work("worked", { batchSize: 20, pollingIntervalSeconds: 0.5 },
  async (jobs) => done(jobs.map(({ data }) => data.number))));
expect("work, 20", false, worked);
await send("single");
const single = [];
for (const _ of numbers) single.push((await boss.fetch("single"))[0].data.number);
expect("fetch, 1, 20 times", true, single);
await boss.stop({ graceful: false });
process.exit(failed ? 1 : 0);
JS
echo "pg-boss 12.38.0, $("$bin/postgres" --version), node $(node --version)"
timeout 60 node batch.mjs "$folder" && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
