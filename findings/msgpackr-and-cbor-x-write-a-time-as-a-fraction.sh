#!/usr/bin/env bash
# Expected: MessagePack and CBOR have integers of 64 bits, so a whole number that JavaScript holds exactly, as a time in milliseconds or five
# billion minor units, is written as one by every encoder, and read as a number wherever it came from.
# Guessed: so it is up to 2^53; a BigInt only beyond that.
# Seen (msgpackr 2.1.4, 35 million downloads a month, and cbor-x 1.6.9, by the same author): whole numbers beyond 32 bits are written as
# floating-point numbers (type cb, fb), so a reader with types, or one that prints what it read, has 1790000000123.0, or refuses it where an
# integer belongs. An integer of 64 bits that another encoder wrote is read as a BigInt, however small: what @msgpack/msgpack 3.1.3 and
# cbor 10.0.12 wrote of the same object has 5000000000n, on which amount + 1 and JSON.stringify throw. Between -2^31 and 2^32
# all agree, so tests with small amounts pass. Each by itself reads back what it wrote. The readme of msgpackr has int64AsType: "number" for
# the latter.
# For Waybill: it speaks protobuf and JSON. Who passes its events on in one of these sends amounts and times as text, or as BigInt, which
# msgpackr and cbor-x write as integers.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit msgpackr@2.1.4 @msgpack/msgpack@3.1.3 cbor-x@1.6.9 cbor@10.0.12 \
  >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >whole.cjs <<'JS'
const msgpackr = require("msgpackr");
const msgpack = require("@msgpack/msgpack");
const cborx = require("cbor-x");
const cbor = require("cbor");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(36), seen);
  failed ||= wanted !== seen;
};
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const show = (value) => `${typeof value} ${value}`;
const time = 1790000000123;
expect("msgpackr writes 1790000000123", "cb427a0c4506c7b000", hex(msgpackr.pack(time)));
expect("@msgpack/msgpack writes", "cf000001a0c4506c7b", hex(msgpack.encode(time)));
expect("cbor-x writes", "fb427a0c4506c7b000", hex(cborx.encode(time)));
expect("cbor writes", "1b000001a0c4506c7b", hex(cbor.encode(time)));
expect("msgpackr reads @msgpack/msgpack's", "bigint 1790000000123", show(msgpackr.unpack(msgpack.encode(time))));
expect("  and its own", "number 1790000000123", show(msgpackr.unpack(msgpackr.pack(time))));
expect("cbor-x reads cbor's", "bigint 1790000000123", show(cborx.decode(cbor.encode(time))));
expect("cbor reads cbor-x's", "number 1790000000123", show(cbor.decodeFirstSync(cborx.encode(time))));
expect("4294967295 by msgpackr and cbor-x", "ceffffffff 1affffffff", `${hex(msgpackr.pack(4294967295))} ${hex(cborx.encode(4294967295))}`);
expect("4294967296 by msgpackr and cbor-x", "cb41f0000000000000 fb41f0000000000000",
  `${hex(msgpackr.pack(4294967296))} ${hex(cborx.encode(4294967296))}`);
expect("5000000000n by msgpackr and cbor-x", "d3000000012a05f200 1b000000012a05f200",
  `${hex(msgpackr.pack(5000000000n))} ${hex(cborx.encode(5000000000n))}`);
const asNumber = new msgpackr.Unpackr({ int64AsType: "number" });
expect("msgpackr with int64AsType", "number 1790000000123", show(asNumber.unpack(msgpack.encode(time))));
process.exitCode = failed ? 1 : 0;
JS
echo "msgpackr 2.1.4, @msgpack/msgpack 3.1.3, cbor-x 1.6.9, cbor 10.0.12, node $(node --version)"
node whole.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
