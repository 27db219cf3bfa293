#!/usr/bin/env bash
# Expected: a command whose connection breaks before the answer fails; only the caller knows whether it may run twice. That is what
# node-redis does.
# Seen (ioredis 6.0.0): it connects anew and sends the command again, by default and without a word. The readme says so of
# "unfulfilled commands (most likely blocking commands such as brpop and blpop)"; it is so of all: INCR counts 2, XADD adds two
# entries, MULTI with INCRBY 5 adds 10, and SET ... NX answers null, somebody else has it, to the one who has just got the lock.
# autoResendUnfulfilledCommands: false is no way out in 6.0.0: such a call never ends (redis/ioredis issue 2193).
# node-redis (redis 6.3.1) fails with "Socket closed unexpectedly", and has counted once.
# For Waybill: it does not use ioredis. Who counts its events, or locks an order's id, with ioredis counts some twice after a failover
# or a proxy's restart, and waits for a lock that nobody else holds: write sets (SADD of the event's id) and look at tokens.
# Needs: node and npm, which installs both clients into a temporary folder; Debian's redis-server.
set -uo pipefail
command -v node npm redis-server >/dev/null || { echo "needs node, npm and redis-server" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit ioredis@6.0.0 redis@6.3.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
redis-server --port 0 --unixsocket "$folder/redis.sock" --save "" --appendonly no --dir "$folder" >redis.log 2>&1 &
server=$!
trap 'kill "$server"; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do [[ -S redis.sock ]] && break; sleep 0.05; done
cat >twice.mjs <<'JS'
import { createConnection, createServer } from "node:net";
import { Redis } from "ioredis";
import { createClient } from "redis";

// Passes everything on, but loses the answer to the next request that has this word in it, and the connection with it.
let lost = null;
const proxy = createServer((client) => {
  const server = createConnection("redis.sock");
  let losing = false;
  client.on("data", (bytes) => {
    if (lost !== null && bytes.toString("latin1").toLowerCase().includes(lost)) [losing, lost] = [true, null];
    server.write(bytes);
  });
  server.on("data", (bytes) => (losing ? client.destroy() : client.write(bytes)));
  client.on("error", () => {}).on("close", () => server.destroy());
  server.on("error", () => {}).on("close", () => client.destroy());
});
await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
const { port } = proxy.address();

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(44), seen);
  failed ||= wanted !== seen;
};
const losing = async (word, call) => {
  lost = word;
  return JSON.stringify(await call().catch((error) => error.message));
};

const io = new Redis(port, "127.0.0.1").on("error", () => {});
await io.ping();
expect("ioredis: INCR answers", "2", await losing("incr", () => io.incr("counted")));
await losing("xadd", () => io.xadd("events", "*", "paid", "1250"));
expect("ioredis: entries after one XADD", 2, await io.xlen("events"));
await losing("exec", () => io.multi().incrby("balance", 5).exec());
expect("ioredis: balance after MULTI, INCRBY 5", "10", await io.get("balance"));
expect("ioredis: SET NX of a free lock answers", "null", await losing("lock", () => io.set("lock", "me", "NX")));
expect("ioredis: who has the lock", "me", await io.get("lock"));
io.disconnect();
const once = new Redis(port, "127.0.0.1", { autoResendUnfulfilledCommands: false }).on("error", () => {});
await once.ping();
const patience = new Promise((over) => setTimeout(() => over("nothing in 5 s"), 5000));
const answer = await Promise.race([losing("incr", () => once.incr("counted once")), patience]);
expect("ioredis: INCR answers, not to be resent", "nothing in 5 s", answer);
expect("ioredis: counted by then", "1", await once.get("counted once"));
once.disconnect();

const other = createClient({ url: `redis://127.0.0.1:${port}` }).on("error", () => {});
await other.connect();
expect("node-redis: INCR answers", '"Socket closed unexpectedly"', await losing("incr", () => other.incr("counted by other")));
expect("node-redis: counted", "1", await other.get("counted by other"));
other.destroy();
proxy.close();
process.exitCode = failed ? 1 : 0;
JS
echo "ioredis 6.0.0, redis 6.3.1, node $(node --version), $(redis-server --version | cut -d' ' -f1-3)"
timeout 60 node twice.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
