#!/usr/bin/env bash
# Expected: a message with an expiry (MQTT 5, messageExpiryInterval) that a client could not send until it was over is not sent any more, or
# with what is left of it, as a broker does with the time that it kept it.
# Guessed: so it is, and what has QoS 0 is dropped while the broker is away.
# Seen (mqtt 5.16.0, which is MQTT.js, with mosquitto 2.0.11): neither. What was published while the broker was away, for a second, is sent
# when it is back after four, with the whole second anew, so a subscriber takes it for fresh and passes it on as such. QoS 0 is kept as
# well (queueQoSZero, on by default), with no limit, and comes behind what has QoS 1 and was published after it. A driver who comes out of a
# tunnel is where it went in, for as long again as each of its positions was to live.
# For Waybill: a position has its time, and an older one never replaces a newer (docs/life-of-a-location.md). Who sends positions to a gateway
# by this library sets queueQoSZero: false and publishes them with QoS 0.
# Needs: node and npm, which installs it into a temporary folder; Debian's mosquitto. Takes fifteen seconds.
set -uo pipefail
broker=$(PATH=$PATH:/usr/sbin command -v mosquitto)
if [[ -z $broker ]] || ! command -v node npm >/dev/null; then
  echo "needs node, npm and mosquitto" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit mqtt@5.16.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >expired.cjs <<'JS'
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { writeFileSync } = require("node:fs");
const { createServer } = require("node:net");
const { setTimeout: sleep } = require("node:timers/promises");
const mqtt = require("mqtt");

(async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address();
  taken.close();
  await once(taken, "close");
  writeFileSync("broker.conf", `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
  const start = () => spawn(process.argv[2], ["-c", "broker.conf"], { stdio: "ignore" });
  const connect = async (reconnectPeriod) => {
    const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod });
    client.on("error", () => {});
    await new Promise((connected) => client.once("connect", connected));
    return client;
  };
  let broker = start();
  const passenger = await connect(100); // tries again until the broker listens
  const driver = await connect(3000); // looks after three seconds and after six
  await passenger.subscribeAsync("#", { qos: 1 });
  const received = [];
  passenger.on("message", (topic, message, { properties }) => received.push(`${topic} ${message} expiry ${properties?.messageExpiryInterval}`));
  broker.kill();
  await once(broker, "exit");
  while (driver.connected) await sleep(20);
  driver.publish("first", "qos 0", { qos: 0, properties: { messageExpiryInterval: 1 } });
  driver.publish("second", "qos 1", { qos: 1, properties: { messageExpiryInterval: 1 } });
  await sleep(4500);
  broker = start();
  await new Promise((connected) => passenger.once("connect", connected));
  await passenger.subscribeAsync("#", { qos: 1 });
  for (let tenth = 0; tenth < 80 && received.length < 2; tenth++) await sleep(100);
  broker.kill();
  console.log("published for a second, four and a half before the broker was back; received:");
  console.log(received.map((line) => `  ${line}`).join("\n"));
  process.exit(received.join() === "second qos 1 expiry 1,first qos 0 expiry 1" ? 0 : 1);
})();
JS
echo "mqtt 5.16.0, $("$broker" -h | head -n 1), node $(node --version)"
timeout 60 node expired.cjs "$broker" && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
