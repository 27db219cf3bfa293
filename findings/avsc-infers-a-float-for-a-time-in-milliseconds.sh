#!/usr/bin/env bash
# Expected: a type of Avro that is inferred from a value holds it: a whole number beyond 32 bits is a long, one with a fraction a double.
# Guessed: so it is; a long beyond 2^53 is refused.
# Seen (avsc 5.7.9, 5 million downloads a month): Type.forValue makes a float of 32 bits of both. A time in milliseconds comes back up to 65
# seconds off, 1790000000123 as 1789999972352, that is 28 s earlier; 1234567.89 is 1234567.875, 0.1 is 0.10000000149011612, 16777217.5 a
# whole number. 2147483648, the first beyond an int, happens to be right, as round numbers are. Nothing is thrown, and isValid says true. What
# is named "long" or "double" is right, but for longs from -4503599627370497 down, which are read as positive numbers.
# For Waybill: its amounts and times are whole numbers of 64 bits. Who puts its events into Avro writes the schema out, or passes forValue
# a valueHook that says long and double.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit avsc@5.7.9 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >infer.cjs <<'JS'
const { Type } = require("avsc");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(26), seen);
  failed ||= wanted !== seen;
};
const there = (type, value) => type.fromBuffer(type.toBuffer(value));
const infer = (value) => {
  const type = Type.forValue(value);
  return `${type.typeName} ${there(type, value)}`;
};
expect("5", "int 5", infer(5));
expect("2147483648", "float 2147483648", infer(2147483648));
expect("1790000000123", "float 1789999972352", infer(1790000000123));
expect("1234567.89", "float 1234567.875", infer(1234567.89));
expect("0.1", "float 0.10000000149011612", infer(0.1));
const order = Type.forValue({ id: 1, at: 1790000000123, fare: 12.5 });
expect("isValid", "true", String(order.isValid({ id: 1, at: 1790000000123, fare: 12.5 })));
expect("  and what is read", '{"id":1,"at":1789999972352,"fare":12.5}', JSON.stringify(there(order, { id: 1, at: 1790000000123, fare: 12.5 })));
const hook = (value) => (typeof value === "number" ? Type.forSchema(Number.isInteger(value) ? "long" : "double") : undefined);
const hooked = Type.forValue({ at: 1790000000123, fare: 0.1 }, { valueHook: hook });
expect("with a valueHook", '{"at":1790000000123,"fare":0.1}', JSON.stringify(there(hooked, { at: 1790000000123, fare: 0.1 })));
expect("-4503599627370496 as long", "-4503599627370496", String(there(Type.forSchema("long"), -4503599627370496)));
expect("-4503599627370497 as long", "4503599627370496", String(there(Type.forSchema("long"), -4503599627370497)));
process.exitCode = failed ? 1 : 0;
JS
echo "avsc 5.7.9, node $(node --version)"
node infer.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
