#!/usr/bin/env bash
# Expected: two readers of OFX give a payment that a bank posted on 30 November 2026 at 22:00 in New York, DTPOSTED 20261130220000[-5:EST],
# the same day, or a time with its zone.
# Guessed: both keep the bank's day.
# Seen: ofxparse 0.21 (Debian 12) counts over to UTC and gives a datetime without a zone, 1 December 03:00; ofx-data-extractor 1.5.0
# drops the zone and gives 30 November. Both files' balances are the same, the sums of November are not, by what was posted after
# 19:00. Without a zone, which OFX takes for UTC, both give the day as written; in India's mornings ofxparse is a day early.
# For Waybill: waybill reconcile takes a gateway's file by the gateway's own day, in the zone that it is told (--zone). Who makes that file of
# OFX takes the first eight digits of DTPOSTED.
# Needs: Debian's python3-ofxparse 0.21-2, node and npm, which installs the other into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
/usr/bin/python3 -c "import ofxparse" 2>/dev/null || { echo "needs Debian's python3-ofxparse" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit ofx-data-extractor@1.5.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
statement() { # DTPOSTED
  cat <<OFX
OFXHEADER:100
DATA:OFXSGML
VERSION:102
SECURITY:NONE
ENCODING:USASCII
CHARSET:1252
COMPRESSION:NONE
OLDFILEUID:NONE
NEWFILEUID:NONE

<OFX>
<SIGNONMSGSRSV1>
<SONRS>
<STATUS>
<CODE>0
<SEVERITY>INFO
</STATUS>
<DTSERVER>20261201120000
<LANGUAGE>ENG
</SONRS>
</SIGNONMSGSRSV1>
<BANKMSGSRSV1>
<STMTTRNRS>
<TRNUID>1
<STATUS>
<CODE>0
<SEVERITY>INFO
</STATUS>
<STMTRS>
<CURDEF>USD
<BANKACCTFROM>
<BANKID>1
<ACCTID>2
<ACCTTYPE>CHECKING
</BANKACCTFROM>
<BANKTRANLIST>
<DTSTART>20261101
<DTEND>20261201
<STMTTRN>
<TRNTYPE>CREDIT
<DTPOSTED>$1
<TRNAMT>12.50
<FITID>1
<NAME>Payee
</STMTTRN>
</BANKTRANLIST>
<LEDGERBAL>
<BALAMT>12.50
<DTASOF>20261201
</LEDGERBAL>
</STMTRS>
</STMTTRNRS>
</BANKMSGSRSV1>
</OFX>
OFX
}
cat >posted.cjs <<'JS'
const { readFileSync } = require("node:fs");
const { Ofx } = require("ofx-data-extractor");

console.log(new Ofx(readFileSync("statement.ofx", "utf8")).getBankTransferList()[0].DTPOSTED);
JS
echo "ofxparse $(/usr/bin/python3 -c 'import importlib.metadata as m; print(m.version("ofxparse"))'), ofx-data-extractor 1.5.0," \
  "node $(node --version)"
failed=0
expect() { # DTPOSTED OFXPARSE OTHER
  statement "$1" >statement.ofx
  local seen=()
  seen[0]=$(/usr/bin/python3 -W ignore -c '
import ofxparse
with open("statement.ofx", "rb") as file:
    print(ofxparse.OfxParser.parse(file).account.statement.transactions[0].date.isoformat())')
  seen[1]=$(node posted.cjs)
  printf '%-28s ofxparse %s, ofx-data-extractor %s\n' "$1" "${seen[@]}"
  [[ ${seen[*]} == "$2 $3" ]] || failed=1
}
expect "20261130220000[-5:EST]" 2026-12-01T03:00:00 2026-11-30
expect "20261130180000[-5:EST]" 2026-11-30T23:00:00 2026-11-30
expect "20261201040000[+5.5:IST]" 2026-11-30T22:30:00 2026-12-01
expect 20261130220000 2026-11-30T22:00:00 2026-11-30
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
