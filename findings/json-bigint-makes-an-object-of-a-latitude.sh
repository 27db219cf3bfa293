#!/usr/bin/env bash
# Expected: json-bigint, which keeps whole numbers that JavaScript's own cannot hold, leaves all others alone: a latitude is a number.
# Guessed: so it does.
# Seen (json-bigint 1.0.0, 100 million downloads a month): it counts characters, over 15 is big, and a decimal's count, too. A coordinate that
# was computed has 16 or 17 digits, so 13.404953999999998 is an object and 13.404954 a number, from one fix to the next: + 1 makes a
# text of it, JSON.stringify a text in quotes. With useNativeBigInt it throws at such a coordinate ("Cannot convert ... to a BigInt"), so
# now and then a whole message is lost. Its readme speaks of big integers only. lossless-json 4.3.3, told isInteger, does
# what one expects.
# For Waybill: its JSON has 64-bit integers as texts (proto3's JSON) and coordinates as numbers of up to 17 digits, so JSON.parse is right
# for it, and json-bigint wrong.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit json-bigint@1.0.0 lossless-json@4.3.3 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >fixes.cjs <<'JS'
const bigint = require("json-bigint");
const { isInteger, parse } = require("lossless-json");

let failed = false;
const big = (text) => (isInteger(text) && !Number.isSafeInteger(Number(text)) ? BigInt(text) : Number(text));
const ways = {
  "json-bigint": (text) => bigint.parse(text),
  useNativeBigInt: (text) => bigint({ useNativeBigInt: true }).parse(text),
  "lossless-json": (text) => parse(text, undefined, big),
};
const expect = (text, ...wanted) => {
  const seen = Object.values(ways).map((way) => {
    try {
      const { value } = way(`{"value":${text}}`);
      return `${typeof value}${typeof value === "bigint" ? "" : ` and with 1 added ${value + 1}`}`;
    } catch (error) {
      return error.message;
    }
  });
  console.log(text, Object.keys(ways).map((name, i) => `\n  ${name.padEnd(16)} ${seen[i]}`).join(""));
  failed ||= seen.join() !== wanted.join();
};
const number = (sum) => `number and with 1 added ${sum}`;
expect("13.404954", ...Array(3).fill(number(14.404954)));
const far = "13.404953999999998";
expect(far, "object and with 1 added 13.4049539999999981", `Cannot convert ${far} to a BigInt`, number(14.404953999999998));
expect("9007199254740993", "object and with 1 added 90071992547409931", "bigint", "bigint");
const copy = bigint.stringify(JSON.parse(JSON.stringify(bigint.parse(`{"lng":${far}}`))));
console.log("read, and written by JSON.stringify:", copy);
failed ||= copy !== `{"lng":"${far}"}`;
process.exitCode = failed ? 1 : 0;
JS
echo "json-bigint 1.0.0, lossless-json 4.3.3, node $(node --version)"
node fixes.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
