#!/usr/bin/env bash
# Expected: a maker of QR codes for SEPA transfers (EPC069-12) writes the amount with two decimals at most, and a text for the payee, such as
# an invoice's number, in the line for unstructured remittance, the eleventh; the tenth is for a creditor reference by ISO 11649.
# Guessed: so it is; accents would go wrong.
# Seen (sepa-qr 0.0.2): accents are right. The amount is written as JavaScript prints it: 0.1 + 0.2 is EUR0.30000000000000004, 1.1 + 2.2
# EUR3.3000000000000003. Option "remittance", of which its readme says { remittance: 'Invoice 123456789' }, goes to the tenth line; what
# is for the eleventh is called "information". A bank's app refuses such a reference or drops it, so the money comes and nobody knows for
# what. Without an amount, which the standard allows and a payer then fills in, it asks for one cent. Nothing is thrown.
# For Waybill: it makes no such codes. Who makes them of its orders gives the amount as a text of minor units and a point, and the text as
# "information".
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit sepa-qr@0.0.2 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >code.cjs <<'JS'
const image = require("qr-image");
const createSepaQr = require("sepa-qr");

let failed = false;
let text;
const draw = image.image;
image.image = (drawn, options) => {
  text = drawn;
  return draw(drawn, options);
};
const expect = (what, line, wanted, options) => {
  createSepaQr({ name: "Müller GmbH", iban: "DE02100100100006820101", ...options });
  const seen = text.split("\n")[line - 1];
  console.log(`${what}, line ${line}`.padEnd(32), seen);
  failed ||= seen !== wanted;
};
expect("name", 6, "Müller GmbH", {});
expect("amount 0.1 + 0.2", 8, "EUR0.30000000000000004", { amount: 0.1 + 0.2 });
expect("amount 19.9", 8, "EUR19.9", { amount: 19.9 });
expect("amount '0.30'", 8, "EUR0.30", { amount: "0.30" });
expect("no amount", 8, "EUR0.01", {});
expect("remittance, as in its readme", 10, "Invoice 123456789", { amount: 100, remittance: "Invoice 123456789" });
expect("information", 11, "Invoice 123456789", { amount: 100, information: "Invoice 123456789" });
process.exitCode = failed ? 1 : 0;
JS
echo "sepa-qr 0.0.2, node $(node --version)"
node code.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
