#!/usr/bin/env bash
# Expected: an entry of a camt.053 statement with <RvslInd>true</RvslInd> is a reversal, as the field `reversal` of the library says; a
# reference is the text that the bank wrote.
# Guessed: the mark of a reversal is not read at all.
# Seen (iso20022.js 0.0.15): both are lost, for one reason. Its XML reader makes values of texts, so that `true` is a boolean, which
# is then compared with the word "true": `reversal` is false for every entry, also for a 1, which XML allows as well. References of
# payment and of bank are numbers: 0001234567 is 1234567, one of 22 digits 2.0261127e+21, so they no longer find their payment.
# Those with a letter are read as they stand.
# For Waybill: nothing of ours reads statements. A charge that came back is a debit like a payout there. Who matches payouts by
# reference uses ours, which have letters, and takes RvslInd out of the XML.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit iso20022.js@0.0.15 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >reversals.mjs <<'JS'
import { CashManagementEndOfDayReport } from "iso20022.js";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(48), seen);
  failed ||= wanted !== JSON.stringify(seen);
};
const entry = (reversal, reference) => `<Ntry><NtryRef>1</NtryRef><Amt Ccy="EUR">12.50</Amt><CdtDbtInd>DBIT</CdtDbtInd>
  <RvslInd>${reversal}</RvslInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-27</Dt></BookgDt><AcctSvcrRef>${reference}</AcctSvcrRef>
  <BkTxCd><Prtry><Cd>X</Cd></Prtry></BkTxCd>
  <NtryDtls><TxDtls><Refs><MsgId>1</MsgId></Refs><RmtInf><Ustrd>${reference}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`;
const report = CashManagementEndOfDayReport.fromXML(`<?xml version="1.0" encoding="UTF-8"?>
  <Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>
  <GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-27T20:00:00</CreDtTm></GrpHdr>
  <Stmt><Id>S1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-11-27T20:00:00</CreDtTm>
  <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Svcr><FinInstnId><BIC>DEUTDEFF</BIC></FinInstnId></Svcr></Acct>
  <Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">0</Amt><CdtDbtInd>CRDT</CdtDbtInd>
  <Dt><Dt>2026-11-27</Dt></Dt></Bal>${entry("true", "0001234567")}${entry("false", "2026112700000000012345")}
  ${entry("1", "ord-0001234567")}</Stmt></BkToCstmrStmt></Document>`);
const [back, other, letters] = report.entries;
expect("RvslInd true: reversal", "false", back.reversal);
expect("RvslInd false: reversal", "false", other.reversal);
expect("RvslInd 1: reversal", "false", letters.reversal);
expect("AcctSvcrRef 0001234567", "1234567", back.accountServicerReferenceId);
expect("Ustrd 0001234567", "1234567", back.transactions[0].remittanceInformation);
expect("AcctSvcrRef 2026112700000000012345", "2.0261127e+21", other.accountServicerReferenceId);
expect("AcctSvcrRef ord-0001234567", '"ord-0001234567"', letters.accountServicerReferenceId);
process.exitCode = failed ? 1 : 0;
JS
echo "iso20022.js 0.0.15, node $(node --version)"
node reversals.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
