#!/usr/bin/env bash
# Expected: a decimal is written with at least one digit behind the point, as RFC 9651 (4.1.5) demands: 1.0001, of which three
# digits are kept, becomes 1.0.
# Seen (structured-headers 2.1.0): a number that rounds to a whole one loses its zeros but keeps its point: 1.0001 and 0.9999 become
# "1.", 0.0001 becomes "0.". No reader may take that, and for one bad member it has to ignore the whole field: the dictionary
# a=1, b=1. is refused by this very package's parser as well. All numbers that need three digits or fewer are right, so it is
# only computed ones (a ratio, a quality, seconds) that now and then make a field vanish at the other end.
# structured-field-values 2.0.4 writes 1.0.
# For Waybill: what it sends itself (RateLimit, RateLimit-Policy) has integers only. Who proxies it and adds fields with this package
# (Priority, Cache-Status, their own) rounds first: Math.round(x * 1000) / 1000.
# Needs: node and npm, which installs both packages into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit structured-headers@2.1.0 structured-field-values@2.0.4 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
cat >decimals.mjs <<'JS'
import { parseDictionary, serializeDictionary, serializeItem } from "structured-headers";
import * as other from "structured-field-values";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(52), seen);
  failed ||= wanted !== seen;
};
const read = (text) => {
  try {
    return parseDictionary(text).size + " members";
  } catch (error) {
    return error.constructor.name;
  }
};
const write = (number) => serializeItem([number, new Map()]);

expect("structured-headers writes 1.5", "1.5", write(1.5));
expect("1.0001", "1.", write(1.0001));
expect("0.9999", "1.", write(0.9999));
expect("0.0001", "0.", write(0.0001));
const field = serializeDictionary({ a: 1, b: [2 / 3 + 1 / 3 - 0.0001, new Map()] });
expect("a field with it", "a=1, b=1.", field);
expect("the same package reads that field", "ParseError", read(field));
expect("and the field with 1.0", "2 members", read("a=1, b=1.0"));
expect("structured-field-values writes 1.0001", "1.0", other.encodeItem(1.0001));
process.exitCode = failed ? 1 : 0;
JS
echo "structured-headers 2.1.0, structured-field-values 2.0.4, node $(node --version)"
node decimals.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
