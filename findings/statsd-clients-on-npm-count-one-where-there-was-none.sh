#!/usr/bin/env bash
# Expected: clients of StatsD with the same method, increment(name, number), count by that number, or say that they do not.
# Guessed: so it is; numbers such as 1e-7 are sent in a form that StatsD does not read.
# Seen: increment("tips", 5) counts 5 by hot-shots 17.1.1, statsd-client 0.4.7 and node-statsd 0.1.1, and 1 by lynx 0.2.0 and node-dogstatsd
# 0.0.7, where the number is a rate of sampling. increment("tips", 0), a batch in which there was none, counts 0 by the first two, 1 by
# node-statsd and node-dogstatsd, and nothing is sent by lynx. hot-shots is downloaded 11 million times a month, node-statsd 345,000,
# node-dogstatsd 222,000, statsd-client 171,000 and lynx 92,000 times.
# For Waybill: its own metrics are Prometheus's. Who counts by one of these what it answers, or moves from one to the other, sends no zeros
# and looks up what the second argument is.
# Needs: node and npm, which installs them into a temporary folder; UDP over loopback.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit --ignore-scripts hot-shots@17.1.1 statsd-client@0.4.7 node-statsd@0.1.1 lynx@0.2.0 \
  node-dogstatsd@0.0.7 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >counts.cjs <<'JS'
const { createSocket } = require("node:dgram");
const HotShots = require("hot-shots");
const Lynx = require("lynx");
const { StatsD: NodeDogstatsd } = require("node-dogstatsd");
const { StatsD: NodeStatsd } = require("node-statsd");
const StatsdClient = require("statsd-client");

const server = createSocket("udp4");
let received = [];
server.on("message", (message) => received.push(...message.toString().split("\n").filter(Boolean)));
server.bind(0, "127.0.0.1", async () => {
  const { port } = server.address();
  const host = "127.0.0.1";
  const clients = {
    "hot-shots": [new HotShots({ host, port }), "tips:5|c tips:0|c"],
    "statsd-client": [new StatsdClient({ host, port }), "tips:5|c tips:0|c"],
    "node-statsd": [new NodeStatsd(host, port), "tips:5|c tips:1|c"],
    lynx: [new Lynx(host, port), "tips:1|c "],
    "node-dogstatsd": [new NodeDogstatsd(host, port), "tips:1|c tips:1|c"],
  };
  let failed = false;
  for (const [name, [client, wanted]] of Object.entries(clients)) {
    const sent = [];
    for (const number of [5, 0]) {
      received = [];
      client.on?.("error", () => {});
      client.increment("tips", number);
      const end = Date.now() + (number === 5 ? 5000 : 1500);
      while (received.length === 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
      sent.push(received.join("+"));
    }
    console.log(`${name.padEnd(15)} increment("tips", 5): ${sent[0].padEnd(9)} increment("tips", 0): ${sent[1] || "nothing"}`);
    failed ||= sent.join(" ") !== wanted;
  }
  process.exit(failed ? 1 : 0);
});
JS
echo "hot-shots 17.1.1, statsd-client 0.4.7, node-statsd 0.1.1, lynx 0.2.0, node-dogstatsd 0.0.7, node $(node --version)"
node counts.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
