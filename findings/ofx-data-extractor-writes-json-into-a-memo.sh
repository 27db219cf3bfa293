#!/usr/bin/env bash
# Expected: a reader of OFX statements gives a payment's memo back as the bank wrote it, whatever signs are in it.
# Guessed: quotes or colons would be lost.
# Seen (ofx-data-extractor 1.5.0): those stay, but braces and brackets do not. It makes the statement JSON by replacing text, and its
# punctuation ends in the data: "ref {1}" is read as "ref 1},", "[x]" as "[x],", "{" as nothing. No error; ofx-js 1.1.1 reads all as written.
# For Waybill: nothing of ours reads bank statements. References that a payout carries into a bank's memo should be of letters, digits
# and '-', as our ids and keys are; a reference in braces will not be found again with this reader.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit ofx-js@1.1.1 ofx-data-extractor@1.5.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >read.js <<'JS'
const header = ["OFXHEADER:100", "DATA:OFXSGML", "VERSION:102", "SECURITY:NONE", "ENCODING:USASCII", "CHARSET:1252",
  "COMPRESSION:NONE", "OLDFILEUID:NONE", "NEWFILEUID:NONE", "", ""].join("\n");
const statement = (memo) => header + ["<OFX>", "<BANKMSGSRSV1>", "<STMTTRNRS>", "<TRNUID>1", "<STMTRS>", "<CURDEF>EUR",
  "<BANKTRANLIST>", "<DTSTART>20261101", "<DTEND>20261129", "<STMTTRN>", "<TRNTYPE>CREDIT", "<DTPOSTED>20261128",
  "<TRNAMT>12.50", "<FITID>0007", "<NAME>Shop", `<MEMO>${memo}`, "</STMTTRN>", "</BANKTRANLIST>", "</STMTRS>",
  "</STMTTRNRS>", "</BANKMSGSRSV1>", "</OFX>", ""].join("\n");
(async () => {
  for (const memo of ["ref 1", 'say "1": a, b', "ref {1}", "[x]", "{"]) {
    const text = statement(memo);
    const one = new (require("ofx-data-extractor").Ofx)(text).getBankTransferList()[0].MEMO;
    const other = (await require("ofx-js").parse(text)).OFX.BANKMSGSRSV1.STMTTRNRS.STMTRS.BANKTRANLIST.STMTTRN.MEMO;
    console.log(`${memo} -> ${one} | ${other}`);
  }
})();
JS
echo "ofx-data-extractor 1.5.0, ofx-js 1.1.1, node $(node --version)"
node read.js | tee read.txt
cat >wanted.txt <<'TXT'
ref 1 -> ref 1 | ref 1
say "1": a, b -> say "1": a, b | say "1": a, b
ref {1} -> ref 1}, | ref {1}
[x] -> [x], | [x]
{ ->  | {
TXT
if cmp -s read.txt wanted.txt; then echo "still so"; else echo "this has changed"; exit 1; fi
