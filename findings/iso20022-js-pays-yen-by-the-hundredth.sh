#!/usr/bin/env bash
# Expected: a library for ISO 20022 that takes and gives amounts as integers of the minor unit knows how many decimals a currency has:
# 1250 is 12.50 USD, 1250 JPY and 1.250 KWD.
# Guessed: cents would suffer from floating point.
# Seen (iso20022.js 0.0.15): they do (19.99 EUR of a statement is 1998.9999999999998, so it equals no integer), but the worse is that
# every currency has two decimals. A payment of 1250 JPY goes out as 12.5 JPY, one of 1.250 KWD as 12.5 KWD, ten times as much; in a
# statement 1250 JPY are read as 125000. The XML is well-formed and nothing is said. It asks dinero.js 1 for the precision, which
# gives its default of 2 for all.
# For Waybill: its amounts are such integers by ISO 4217 (docs/currencies.md). Who hands them to this library pays a hundredth in yen
# and won, tenfold in dinars. Set the text of the amount from `minor_unit_exponent`, and compare statements as text.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit iso20022.js@0.0.15 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >amounts.mjs <<'JS'
import { CashManagementEndOfDayReport, ISO20022 } from "iso20022.js";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(40), seen);
  failed ||= wanted !== String(seen);
};
const payer = { name: "Example", id: "EXAMPLE", account: { accountNumber: "123456789012" }, agent: { bic: "CHASUS33" } };
const iso = new ISO20022({ initiatingParty: payer });
const paid = (amount, currency) => {
  const creditor = { name: "Payee", account: { iban: "DE89370400440532013000" }, agent: { bic: "DEUTDEFF" } };
  creditor.address = { country: "DE" };
  const message = iso.createSWIFTCreditPaymentInitiation([{ type: "swift", direction: "credit", amount, currency, creditor }]);
  return /<InstdAmt Ccy="...">([^<]*)/.exec(message.toString())[1];
};
const read = (text, currency) => {
  const entry = `<Ntry><NtryRef>1</NtryRef><Amt Ccy="${currency}">${text}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>
    <BookgDt><Dt>2026-11-27</Dt></BookgDt><BkTxCd><Prtry><Cd>X</Cd></Prtry></BkTxCd></Ntry>`;
  return CashManagementEndOfDayReport.fromXML(`<?xml version="1.0" encoding="UTF-8"?>
    <Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>
    <GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-27T20:00:00</CreDtTm></GrpHdr>
    <Stmt><Id>S1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-11-27T20:00:00</CreDtTm>
    <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Svcr><FinInstnId><BIC>DEUTDEFF</BIC></FinInstnId></Svcr></Acct>
    <Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="${currency}">0</Amt><CdtDbtInd>CRDT</CdtDbtInd>
    <Dt><Dt>2026-11-27</Dt></Dt></Bal>${entry}</Stmt></BkToCstmrStmt></Document>`).entries[0].amount;
};
expect("pain.001 of 1250 minor units, USD", "12.5", paid(1250, "USD"));
expect("pain.001 of 1250 minor units, JPY", "12.5", paid(1250, "JPY"));
expect("pain.001 of 1250 minor units, KWD", "12.5", paid(1250, "KWD"));
expect("camt.053, 12.50 USD in minor units", "1250", read("12.50", "USD"));
expect("camt.053, 1250 JPY in minor units", "125000", read("1250", "JPY"));
expect("camt.053, 1.250 KWD in minor units", "125", read("1.250", "KWD"));
expect("camt.053, 19.99 EUR in minor units", "1998.9999999999998", read("19.99", "EUR"));
process.exitCode = failed ? 1 : 0;
JS
echo "iso20022.js 0.0.15, node $(node --version)"
node amounts.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
