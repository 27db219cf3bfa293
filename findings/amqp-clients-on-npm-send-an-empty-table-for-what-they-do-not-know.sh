#!/usr/bin/env bash
# Expected: a client for AMQP takes the values for which the protocol has a type, times and 64-bit integers among them, or throws.
# Guessed: amqplib sends a Date as AMQP's timestamp, or refuses it.
# Seen: neither. amqplib 2.3.1 (RabbitMQ's protocol) takes a Date in a header for an object, and one without fields: it sends an empty
# table. rhea 3.0.5 (AMQP 1.0) does so with a BigInt, as a property and as the body itself: {}. Nothing is thrown, RabbitMQ 3.10.8
# confirms (tried by hand), and what comes out has neither the time nor the amount. Each knows what the other does not: rhea
# sends a Date as a timestamp, amqplib throws at a BigInt. amqplib has {"!": "timestamp", value: seconds}, rhea types.wrap_long.
# For Waybill: amounts are int64, which is a BigInt in what buf makes of our protos for Node: passed on by rhea as they are they arrive
# as empty tables. Send them as text, or by types.wrap_long.
# Needs: node and npm, which installs both into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit amqplib@2.3.1 rhea@3.0.5 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >tables.cjs <<'JS'
const { decodeFields, encodeTable } = require("./node_modules/amqplib/lib/codec.js");
const rhea = require("rhea");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(40), seen);
  failed ||= wanted !== seen;
};
const day = new Date("2026-11-27T12:00:00.000Z");
const header = (value) => {
  const bytes = Buffer.alloc(1000);
  try {
    const length = encodeTable(bytes, { value }, 0);
    return JSON.stringify(decodeFields(bytes.subarray(4, length)).value);
  } catch (error) {
    return error.message;
  }
};
expect("amqplib: header of 1250", "1250", header(1250));
expect("amqplib: header of a Date", "{}", header(day));
expect("amqplib: header of 1250n", "Unknown type to encode: bigint", header(1250n));

// One container is the broker's end, the other one sends to it.
const sent = [["1250", 1250], ["a Date", day], ["1250n", 1250n]];
const wanted = { 1250: ["1250", "1250"], "a Date": [JSON.stringify(day), JSON.stringify(day)], "1250n": ["{}", "{}"] };
const broker = rhea.create_container();
let left = sent.length;
broker.on("message", ({ message }) => {
  const [property, body] = wanted[message.message_id];
  expect(`rhea: property of ${message.message_id}`, property, JSON.stringify(message.application_properties.value));
  expect(`rhea: body of ${message.message_id}`, body, JSON.stringify(message.body));
  if (--left === 0) process.exit(failed ? 1 : 0);
});
const server = broker.listen({ host: "127.0.0.1", port: 0 });
server.on("listening", () => {
  const client = rhea.create_container();
  client.connect({ host: "127.0.0.1", port: server.address().port, reconnect: false }).open_sender("queue");
  client.once("sendable", ({ sender }) => {
    for (const [message_id, value] of sent) sender.send({ message_id, application_properties: { value }, body: value });
  });
});
JS
echo "amqplib 2.3.1, rhea 3.0.5, node $(node --version)"
timeout 30 node tables.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
