#!/usr/bin/env bash
# Expected: @grpc/proto-loader, with which most clients on Node.js read .proto files, sends what a caller means or throws, as it does for
# a text where a google.protobuf.Timestamp belongs ("object expected").
# Guessed: it throws for a Date, too, and for an amount with decimals.
# Seen (@grpc/proto-loader 0.8.1 with protobufjs 7.6.6): a Date is an object without seconds, so it goes out as the first second of 1970. For
# an int64 "12.50" and 12.5 are 12, NaN is 0; for an int32 4294967296 is 0. An enum's name that is not known, "paid" for PAID, is its
# first value, also within a list. A name in snake_case is left out unless keepCase is set; with it the one in camelCase is. Nothing is
# thrown for any of them, and the server sees well-formed messages.
# For Waybill: it refuses what it can (an enum's 0 is UNSPECIFIED, an amount is over 0), but 12 for 12.50 is an amount, and a field left
# out one that was not given. A client gives {seconds, nanos} and whole minor units, and has them checked: TypeScript with generated types.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit @grpc/proto-loader@0.8.1 protobufjs@7.6.6 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >orders.proto <<'PROTO'
syntax = "proto3";
package example;
import "google/protobuf/timestamp.proto";
enum State { STATE_UNSPECIFIED = 0; PAID = 1; }
message Order {
  int64 amount_minor = 1;
  google.protobuf.Timestamp due_time = 2;
  State state = 3;
  repeated State states = 4;
  int32 items = 5;
}
service Orders { rpc Create(Order) returns (Order); }
PROTO
cat >send.cjs <<'JS'
const { loadSync } = require("@grpc/proto-loader");

let failed = false;
const expect = (options, sent, wanted) => {
  const { requestSerialize, requestDeserialize } = loadSync("orders.proto", { longs: String, enums: String, ...options })["example.Orders"].Create;
  let seen;
  try {
    seen = JSON.stringify(requestDeserialize(requestSerialize(sent)));
  } catch (error) {
    seen = error.message;
  }
  const what = JSON.stringify(sent, (_, value) => (typeof value === "bigint" || value !== value ? String(value) : value));
  console.log(options.keepCase ? "keepCase" : "        ", what.padEnd(46), seen);
  failed ||= seen !== wanted;
};
const date = new Date("2026-11-29T12:00:00Z");
expect({}, { dueTime: { seconds: 1795953600 } }, '{"dueTime":{"seconds":"1795953600"}}');
expect({}, { dueTime: date.toISOString() }, ".example.Order.dueTime: object expected");
expect({}, { dueTime: date }, '{"dueTime":{}}');
expect({ keepCase: true, defaults: true }, { due_time: date },
  '{"states":[],"amount_minor":"0","due_time":{"seconds":"0","nanos":0},"state":"STATE_UNSPECIFIED","items":0}');
expect({}, { amountMinor: 1250n }, '{"amountMinor":"1250"}');
expect({}, { amountMinor: "12.50" }, '{"amountMinor":"12"}');
expect({}, { amountMinor: 12.5 }, '{"amountMinor":"12"}');
expect({}, { amountMinor: NaN }, '{"amountMinor":"0"}');
expect({}, { items: 4294967296 }, '{"items":0}');
expect({}, { state: "paid" }, "{}");
expect({}, { states: ["paid", "PAID"] }, '{"states":["STATE_UNSPECIFIED","PAID"]}');
expect({}, { amount_minor: 1250 }, "{}");
expect({ keepCase: true }, { amountMinor: 1250 }, "{}");
process.exitCode = failed ? 1 : 0;
JS
echo "@grpc/proto-loader 0.8.1, protobufjs 7.6.6, node $(node --version)"
node send.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
