#!/usr/bin/env bash
# Expected: an amount of an MT940 or MT942 statement is read as the bank wrote it, with three decimals in dinars and rials of Kuwait,
# Bahrain, Tunisia and Oman. The field has room for them, and the library takes BigNumber for its amounts.
# Guessed: so it is; reversals would have the wrong sign.
# Seen (@centrapay/swift-parser 1.0.1): reversals are right, but each amount is rounded to two decimals: 10,005 KWD is 10.01, 0,004 is 0.
# The lines no longer add up to the closing balance, which is rounded, too. The sums of the entries of an MT942 (:90D: and :90C:), by
# which one could see it, are cut at the comma, and the statement does not have them.
# For Waybill: its amounts are whole minor units by ISO 4217, thousandths for these (docs/currencies.md); waybill reconcile reads the
# files of gateways. Who makes those of MT940 checks that what was read adds up.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit @centrapay/swift-parser@1.0.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >dinars.cjs <<'JS'
const { parse } = require("@centrapay/swift-parser");
const { TagFactory } = require("@centrapay/swift-parser/lib/tags");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(36), String(seen));
  failed ||= wanted !== String(seen);
};
const lines = ["C10,005", "C0,005", "C0,004", "D0,124", "RC1,250"].map((line) => `:61:2611271127${line}NTRFREF//BANK`);
const data = [":20:S1", ":25:123456", ":28C:1/1", ":60F:C261126KWD100,000", ...lines, ":62F:C261127KWD108,640", "-"].join("\n");
const [{ openingBalance, closingBalance, transactions }] = parse({ type: "mt940", data });
expect("10,005 0,005 0,004 -0,124 -1,250", "10.01 0.01 0 -0.12 -1.25", transactions.map(({ amount }) => amount).join(" "));
const sum = transactions.reduce((total, { amount }) => total.plus(amount), openingBalance);
expect("100,000 and the lines", "108.65", sum);
expect("closing balance, 108,640", "108.64", closingBalance);
expect(":90D:2KWD1234,560", "1234", new TagFactory().createTag("90", "D", "2KWD1234,560").fields.amount);
process.exitCode = failed ? 1 : 0;
JS
echo "@centrapay/swift-parser 1.0.1, node $(node --version)"
node dinars.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
