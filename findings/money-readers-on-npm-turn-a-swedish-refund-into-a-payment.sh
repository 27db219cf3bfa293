#!/usr/bin/env bash
# Expected: what Intl.NumberFormat writes of a negative amount in some language is read as negative, or not at all, by a library for
# money that is told that language's decimal mark.
# Guessed: NaN.
# Seen (currency.js 2.0.4, accounting 0.4.1, accounting-js 2.0.3, Node 20.20.2): in Swedish, Norwegian, Finnish, Estonian, Lithuanian,
# Slovene, Croatian and Basque, Intl writes the minus of typography, U+2212. These libraries know "-" and parentheses, and take all
# else for a currency's sign: a refund of 12.50, shown as -12,50 kr and read back, is a payment of 12.50. In Danish, German and English
# it comes back as it was. accounting does the same with a minus behind the number, 12.50-, as SAP's exports have it;
# accounting-js reads that as negative, currency.js as NaN.
# For Waybill: amounts are whole numbers and have their sign there. Who reads them out of a table that a page has shown, or pastes
# them into another one, turns U+2212 into "-" first.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
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
const expect = (what, text, decimal, ...wanted) => {
  const seen = [currency(text, { decimal }).value, accounting.unformat(text, decimal), accountingJs.unformat(text, decimal)];
  console.log(what.padEnd(8), text.padEnd(12), `currency.js ${seen[0]}, accounting ${seen[1]}, accounting-js ${seen[2]}`);
  failed ||= wanted.join() !== seen.join();
};
const written = (language) => new Intl.NumberFormat(language, { style: "currency", currency: "SEK" }).format(-12.5);
for (const language of ["sv-SE", "nb-NO", "fi-FI", "et-EE", "lt-LT", "sl-SI", "hr-HR", "eu-ES"]) {
  expect(language, written(language), ",", 12.5, 12.5, 12.5);
}
expect("da-DK", written("da-DK"), ",", -12.5, -12.5, -12.5);
expect("de-DE", written("de-DE"), ",", -12.5, -12.5, -12.5);
expect("behind", "12.50-", ".", NaN, 12.5, -12.5);
process.exitCode = failed ? 1 : 0;
JS
echo "currency.js 2.0.4, accounting 0.4.1, accounting-js 2.0.3, node $(node --version)"
node read.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
