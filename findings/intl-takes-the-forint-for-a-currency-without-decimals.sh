#!/usr/bin/env bash
# Expected: Intl.NumberFormat knows how many decimals a currency has by ISO 4217, as ECMA-402 said for long: 2 of HUF, IDR, COP, PKR; so
# resolvedOptions().maximumFractionDigits is a way to come from minor units to an amount without a table of one's own.
# Guessed: right, but for the dinar of Iraq.
# Seen (Node 20.20.2 with ICU 78.2): 16 currencies differ, all of them counted as having none: what is customary in a shop (CLDR)
# is taken, not what banks count in. HUF, IDR, COP and PKR came to them lately (CLDR-11586): Node 20.9.0, of the same major version,
# had 2. So an update of Node within its own line turns 1250 minor units of HUF, that is 12.50, into 1250 forint, a hundredfold, and
# an amount of 12.50 that is sent to a gateway becomes 13 minor units. By Node's notes it is an update of ICU.
# For Waybill: amounts are minor units by ISO 4217; the API publishes the exponent it used (`minor_unit_exponent`, docs/currencies.md):
# pages use that one, with minimumFractionDigits set by hand.
# Needs: node; npm, which installs currency-codes 2.2.0, a list of ISO 4217, into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit currency-codes@2.2.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >digits.mjs <<'JS'
import codes from "currency-codes";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(36), seen);
  failed ||= wanted !== seen;
};
const digits = (currency) =>
  new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
const differ = codes.codes().filter((currency) => !currency.startsWith("X") && digits(currency) !== codes.code(currency).digits);
const none = differ.filter((currency) => digits(currency) === 0);
const wanted = "AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK PKR SOS SYP YER";
expect("not as ISO 4217 has it", wanted, differ.sort().join(" "));
expect("of these, taken to have no decimals", wanted, none.sort().join(" "));
const formatted = (minor, currency) => {
  const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits).replace(/\s/g, " ");
};
expect("1250 minor units of EUR", "EUR 12.50", formatted(1250, "EUR"));
expect("1250 minor units of HUF", "HUF 1,250", formatted(1250, "HUF"));
expect("1250 minor units of IQD", "IQD 1,250", formatted(1250, "IQD"));
expect("12.50 HUF in minor units", 13, Math.round(12.5 * 10 ** digits("HUF")));
process.exitCode = failed ? 1 : 0;
JS
echo "node $(node --version) with ICU $(node -p process.versions.icu), currency-codes 2.2.0"
node digits.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
