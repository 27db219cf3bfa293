#!/usr/bin/env bash
# Expected: a library that reads amounts of money from text reads 1.25E+3 as 1250, as JavaScript's Number and every decimal type do, or
# says that it cannot.
# Guessed: refused, or 1250.
# Seen (currency.js 2.0.4, accounting 0.4.1, accounting-js 2.0.3): letters are taken out as if they were a currency's sign, and what is
# left is a number: 1.25E+3 is 1.25 or 1.253, 1E+3 is 13, 2E+1 is 21; 5E-2 is 5, -52 or NaN. No error. Such text is what Java's
# BigDecimal.stripTrailingZeros().toString() and Python's Decimal.normalize() make of just the round amounts, 1250 and 1000 among
# them, while 1249.99 is written and read as ever.
# For Waybill: amounts are whole numbers in JSON, never text. Who exports them by way of a decimal type uses toPlainString(), or
# format(amount, "f"), and Number(text) before such a library.
# Needs: node and npm, which installs them into a temporary folder; python3.
set -uo pipefail
command -v node npm python3 >/dev/null || { echo "needs node, npm and python3" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit currency.js@2.0.4 accounting@0.4.1 accounting-js@2.0.3 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
cat >read.cjs <<'JS'
const currency = require("currency.js");
const accounting = require("accounting");
const accountingJs = require("accounting-js");

let failed = false;
const expect = (text, ...wanted) => {
  const seen = [currency(text).value, accounting.unformat(text), accountingJs.unformat(text)];
  console.log(text.padEnd(10), `Number ${Number(text)}, currency.js ${seen[0]}, accounting ${seen[1]}, accounting-js ${seen[2]}`);
  failed ||= JSON.stringify(wanted) !== JSON.stringify(seen);
};
const [round, thousand, crooked] = process.argv.slice(2);
expect(crooked, 1249.99, 1249.99, 1249.99);
expect(round, 1.25, 1.253, 1.253);
expect(thousand, 13, 13, 13);
expect("2E+1", 21, 21, 21);
expect("-1.25E+3", -1.25, -1.253, -1.253);
process.exitCode = failed ? 1 : 0;
JS
echo "currency.js 2.0.4, accounting 0.4.1, accounting-js 2.0.3, node $(node --version), $(python3 --version)"
texts=$(python3 -c 'from decimal import Decimal; print(*[Decimal(text).normalize() for text in ("1250.00", "1000.00", "1249.99")])')
# shellcheck disable=SC2086
node read.cjs $texts && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
