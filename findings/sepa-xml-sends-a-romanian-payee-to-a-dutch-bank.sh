#!/usr/bin/env bash
# Expected: a maker of SEPA files that finds the BIC by itself ("optional can be auto-found it", says its readme) finds the right one or
# leaves it out.
# Guessed: it does so for Dutch IBANs and leaves it out for others.
# Seen (sepa-xml 0.6.0): it looks at four letters of the IBAN and not at its country. Romania, Ireland, Britain and Bulgaria have four
# letters there, too, and the same banks, so a payee at ING in Bucharest gets INGBNL2A, ING in Amsterdam, one at Citibank in Dublin
# CITINL2X. IBAN and BIC of different countries: a bank refuses the file, or asks. An IBAN in groups of four, as the readme itself
# has it, passes the check, is written with its blanks, which the schema does not allow, and gets no BIC, as the letters are looked
# for elsewhere.
# For Waybill: it makes no files for banks. Who makes them of its payments takes the blanks out and gives the BIC.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit sepa-xml@0.6.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >payees.cjs <<'JS'
const SepaXML = require("sepa-xml");

let failed = false;
const iban = (country, account) => {
  const digits = [...`${account}${country}00`].map((sign) => parseInt(sign, 36)).join("");
  return `${country}${String(98n - (BigInt(digits) % 97n)).padStart(2, "0")}${account}`;
};
const expect = (what, account, wanted) => {
  const file = new SepaXML();
  file.setHeaderInfo({ messageId: "M1", initiator: "Example" });
  file.setPaymentInfo({ id: "P1", method: "TRF", senderName: "Example", senderIBAN: iban("NL", "RABO0300065264"), bic: "RABONL2U" });
  file.addTransaction({ id: "E1", amount: 10, name: "Payee", iban: account, description: "fee" });
  file.compile((errors, text) => {
    const [, payee] = /<CdtTrfTxInf>([^]*)<\/CdtTrfTxInf>/.exec(text);
    const seen = `${/<IBAN>(.*)<\/IBAN>/.exec(payee)[1]} at ${/<BIC>(.*)<\/BIC>/.exec(payee)?.[1] ?? "no BIC"}`;
    console.log(what.padEnd(22), seen);
    failed ||= Boolean(errors) || seen !== `${account} at ${wanted}`;
    process.exitCode = failed ? 1 : 0;
  });
};
expect("ING, Amsterdam", iban("NL", "INGB0001234567"), "INGBNL2A");
expect("ING, Bucharest", iban("RO", "INGB0000123456789012"), "INGBNL2A");
expect("Citibank, Dublin", iban("IE", "CITI99005112345678"), "CITINL2X");
expect("Handelsbanken, London", iban("GB", "HAND40516212345678"), "HANDNL2A");
expect("BNP Paribas, Sofia", iban("BG", "BNPA94401012345678"), "BNPANL2A");
expect("Rabobank, with blanks", "NL39 RABO 0300 0652 64", "no BIC");
JS
echo "sepa-xml 0.6.0, node $(node --version)"
node payees.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
