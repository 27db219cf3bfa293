#!/usr/bin/env bash
# Expected: a job that is added under an id of one's own, such as the order's, runs once; who adds another under the same id is told so, by an
# error, by null or by the job that is there.
# Guessed: add() returns the first job.
# Seen (bullmq 6.7.0, 13 million downloads a month; bull 4.16.5): nothing is added, as the manual says, but add() gives a job with the new
# data, the new time and the id, for which waitUntilFinished() gives the result of the first: of 99.00 the answer is "paid 12.50". A job
# that has failed for good keeps its id as well, so adding it again answers at once with the failure of the first time, and nothing is
# tried; so for as long as it is kept, which by default is for ever. Only the event "duplicated" says so. bee-queue 2.0.0 gives the id null.
# For Waybill: an idempotency key that comes again with another amount is refused there (docs/errors.md). A queue before it that has the
# key for its jobs' id hides the difference: read back getJob(id).data, or have the amount in the id.
# Needs: node and npm, which installs them into a temporary folder; Debian's redis-server.
set -uo pipefail
command -v node npm redis-server >/dev/null || { echo "needs node, npm and redis-server" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit --ignore-scripts bullmq@6.7.0 bull@4.16.5 bee-queue@2.0.0 \
  >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
redis-server --port 0 --unixsocket "$folder/redis.sock" --save "" --appendonly no --dir "$folder" >redis.log 2>&1 &
server=$!
trap 'kill "$server"; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do [[ -S redis.sock ]] && break; sleep 0.05; done
cat >jobs.cjs <<'JS'
const BeeQueue = require("bee-queue");
const Bull = require("bull");
const { Queue, QueueEvents, Worker } = require("bullmq");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(36), seen);
  failed ||= wanted !== String(seen);
};
let tries = 0;
const pay = async ({ data }) => {
  tries++;
  if (data.card === "refused") throw new Error("card refused");
  return `paid ${data.amount}`;
};
(async () => {
  const connection = { path: "redis.sock", maxRetriesPerRequest: null };
  const queue = new Queue("pay", { connection });
  const events = new QueueEvents("pay", { connection });
  await events.waitUntilReady();
  const worker = new Worker("pay", pay, { connection });
  const first = await queue.add("pay", { amount: "12.50" }, { jobId: "order-1" });
  expect("bullmq, 12.50", "paid 12.50", await first.waitUntilFinished(events));
  const second = await queue.add("pay", { amount: "99.00" }, { jobId: "order-1" });
  expect("  99.00 under the same id, data", '{"amount":"99.00"}', JSON.stringify(second.data));
  expect("    result", "paid 12.50", await second.waitUntilFinished(events));
  expect("    data in Redis", '{"amount":"12.50"}', JSON.stringify((await queue.getJob("order-1")).data));
  const refused = await queue.add("pay", { amount: "5.00", card: "refused" }, { jobId: "order-2" });
  expect("  5.00 by a bad card", "card refused", await refused.waitUntilFinished(events).catch(({ message }) => message));
  const good = await queue.add("pay", { amount: "5.00", card: "good" }, { jobId: "order-2" });
  expect("    by a good one, same id", "card refused", await good.waitUntilFinished(events).catch(({ message }) => message));
  expect("  tried", "2", tries);
  await worker.close();
  await events.close();
  await queue.close();

  const bull = new Bull("bull", { redis: { path: "redis.sock" } });
  bull.process(pay);
  expect("bull, 12.50", "paid 12.50", await (await bull.add({ amount: "12.50" }, { jobId: "order-1" })).finished());
  const again = await bull.add({ amount: "99.00" }, { jobId: "order-1" });
  expect("  99.00 under the same id", '{"amount":"99.00"} paid 12.50', `${JSON.stringify(again.data)} ${await again.finished()}`);
  await bull.close();

  const bee = new BeeQueue("bee", { redis: { path: "redis.sock" } });
  expect("bee-queue, 12.50, id", "order-1", (await bee.createJob({ amount: "12.50" }).setId("order-1").save()).id);
  expect("  99.00 under the same id, id", "null", (await bee.createJob({ amount: "99.00" }).setId("order-1").save()).id);
  await bee.close();
  process.exit(failed ? 1 : 0);
})();
JS
echo "bullmq 6.7.0, bull 4.16.5, bee-queue 2.0.0, $(redis-server --version | cut -d' ' -f1-3), node $(node --version)"
timeout 60 node jobs.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
