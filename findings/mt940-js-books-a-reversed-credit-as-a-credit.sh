#!/usr/bin/env bash
# Expected: the mark RC of a statement line in MT940 is the reversal of a credit, so money leaves the account; RD, the reversal of a
# debit, brings some back. Balances prove it: opening plus lines is closing.
# Seen (mt940-js 1.0.0): isCredit is true for RC and false for RD, just as for C and D, and nothing else tells them apart. The
# amount has no sign, so each reversed line is off by twice its amount, and the lines no longer add up to the closing balance.
# mt940js 1.3.5, the other reader on npm, has both signs right, as has aqbanking 6.5.3 (tried by hand: it writes to the home folder).
# For Waybill: nothing of ours reads statements. Who matches refunds and charges of `payments` with a bank's MT940 meets RD where a
# debit came back and RC where a payout was taken back: with mt940-js they count as refund and payment a second time.
# Needs: node and npm, which installs them and tslib into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit mt940-js@1.0.0 mt940js@1.3.5 tslib@2.8.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
sed 's/$/\r/' >statement.sta <<'MT940'
:20:FINDING
:25:10020030/1234567890
:28C:1/1
:60F:C261126EUR1000,00
:61:2611271127C12,50NTRFCREDIT
:86:a payment
:61:2611271127D2,00NTRFDEBIT
:86:a fee
:61:2611271127RC3,00NTRFREVCREDIT
:86:a payment taken back
:61:2611271127RD4,00NTRFREVDEBIT
:86:a fee given back
:62F:C261127EUR1011,50
MT940
cat >read.mjs <<'JS'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const bytes = readFileSync("statement.sta");

const [first] = await require("mt940-js").read(bytes);
const signed = first.transactions.map((line) => (line.isCredit ? 1 : -1) * line.amount);
console.log(`mt940-js ${signed.join(" ")} makes ${signed.reduce((sum, line) => sum + line, first.openingBalance.value)}`);

const [second] = new (require("mt940js").Parser)().parse(bytes.toString("latin1"));
const amounts = second.transactions.map((line) => line.amount);
console.log(`mt940js ${amounts.join(" ")} makes ${amounts.reduce((sum, line) => sum + line, second.openingBalance)}`);
JS
echo "mt940-js 1.0.0, mt940js 1.3.5, node $(node --version)"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-10s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
node read.mjs >read.txt || { echo "this has changed"; exit 1; }
expect "mt940-js" "12.5 -2 3 -4 makes 1009.5" "$(sed -n 's/^mt940-js //p' read.txt)"
expect "mt940js" "12.5 -2 -3 4 makes 1011.5" "$(sed -n 's/^mt940js //p' read.txt)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
