#!/usr/bin/env bash
# Expected: a column of flags or texts in which a row has none is null there, as null is.
# Guessed: so it is.
# Seen (apache-arrow 21.2.0, 7 million downloads a month): null is null, but what is not given at all, or undefined, is a value: false among
# booleans, "" among texts, NaN among numbers, so that a sum over the column is NaN, and nullCount does not count it. tableFromJSON makes
# that of an object that lacks the key, as JSON of protobuf lacks each field that is unset, and of one written by JSON.stringify. After
# tableToIPC, the file or stream that others read, it is a plain false. Where the first rows lack it, too. Dates throw.
# For Waybill: its JSON has optional fields only where they are set. Who puts its answers into Arrow writes null for what is missing.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit apache-arrow@21.2.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >missing.cjs <<'JS'
const { tableFromIPC, tableFromJSON, tableToIPC, vectorFromArray } = require("apache-arrow");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(22), seen);
  failed ||= wanted !== seen;
};
const show = (column) => [...column].map((value) => (typeof value === "string" ? JSON.stringify(value) : String(value))).join(" ");
const orders = [
  { id: 1, paid: true, note: "door", tip: 50 },
  { id: 2 },
  { id: 3, paid: null, note: null, tip: null },
];
const table = tableFromIPC(tableToIPC(tableFromJSON(orders)));
console.log("given, missing, null");
expect("paid", "true false null", show(table.getChild("paid")));
expect("note", '"door" "" null', show(table.getChild("note")));
expect("tip", "50 NaN null", show(table.getChild("tip")));
expect("nulls of each", "1 1 1", ["paid", "note", "tip"].map((name) => table.getChild(name).nullCount).join(" "));
expect("the first row lacks it", 'false true "" "x"', `${show(tableFromJSON([{ id: 1 }, { id: 2, paid: true }]).getChild("paid"))} ${
  show(tableFromJSON([{ id: 1 }, { id: 2, note: "x" }]).getChild("note"))}`);
expect("vectorFromArray", "true false null", show(vectorFromArray([true, undefined, null])));
process.exitCode = failed ? 1 : 0;
JS
echo "apache-arrow 21.2.0, node $(node --version)"
node missing.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
