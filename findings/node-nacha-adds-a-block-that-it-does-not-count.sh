#!/usr/bin/env bash
# Expected: an ACH file is filled up with lines of nines to a multiple of ten lines, and its last record says how many blocks of ten
# there are; a file of just ten records needs no filling.
# Guessed: amounts or the hash of the routing numbers would be wrong somewhere.
# Seen (@midlandsbank/node-nacha 0.4.0): those are right, but each file whose records are a multiple of ten, and so one in ten, gets
# ten lines of nines more, and its block count, which is right for the records, is one too small. A bank that checks the count, as
# the format's description asks it to, refuses the file with all its payments: with 6 entries in a batch, never with 5 or 7.
# nach2 0.5.1 adds nothing.
# For Waybill: nothing of ours writes ACH files. Payouts that are made of its books this way fail on some days and not on others.
# Count the lines of a file before it is sent: they are ten times the block count.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit @midlandsbank/node-nacha@0.4.0 nach2@0.5.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >blocks.cjs <<'JS'
const nacha = require("@midlandsbank/node-nacha");
const nach2 = require("nach2");

let failed = false;
const expect = (what, wanted, file) => {
  const lines = file.split(/\r?\n/).filter((line) => line !== "");
  const control = lines.find((line) => line[0] === "9");
  const seen = `${lines.length} lines, ${Number(control.slice(7, 13))} blocks counted`;
  console.log(what.padEnd(24), seen);
  failed ||= wanted !== seen;
};
const written = (entries) => {
  let file = nacha.create({ from: { name: "Example", fein: "123456789" }, for: { name: "Bank", routing: "081000032" } });
  file = file.ppd({ effectiveDate: "261201", description: "Payout", note: "none", date: "Dec 01" });
  for (let i = 0; i < entries; i++) {
    file = file.credit({ name: `Payee ${i}`, account: { num: "5654221", type: "C" }, routing: "081000210", amount: 1250 });
  }
  return nacha.from(file).to("ach");
};
expect("node-nacha, 5 entries", "10 lines, 1 blocks counted", written(5));
expect("node-nacha, 6 entries", "20 lines, 1 blocks counted", written(6));
expect("node-nacha, 7 entries", "20 lines, 2 blocks counted", written(7));
expect("node-nacha, 16 entries", "30 lines, 2 blocks counted", written(16));

const file = new nach2.File({
  immediateDestination: "081000032",
  immediateOrigin: "123456789",
  immediateDestinationName: "Bank",
  immediateOriginName: "Example",
  referenceCode: "1",
});
const batch = new nach2.Batch({
  serviceClassCode: "220",
  companyName: "Example",
  standardEntryClassCode: "PPD",
  companyIdentification: "123456789",
  companyEntryDescription: "Payout",
  companyDescriptiveDate: "Dec 1",
  effectiveEntryDate: new Date(2026, 11, 1),
  originatingDFI: "081000032",
});
for (let i = 0; i < 6; i++) {
  const payee = { receivingDFI: "081000210", DFIAccount: "5654221", individualName: `Payee ${i}` };
  batch.addEntry(new nach2.Entry({ ...payee, amount: "12.50", idNumber: `${i}`, discretionaryData: "A1", transactionCode: "22" }));
}
file.addBatch(batch);
file.generateFile((text) => expect("nach2, 6 entries", "10 lines, 1 blocks counted", text));
process.on("exit", () => (process.exitCode = failed ? 1 : 0));
JS
echo "@midlandsbank/node-nacha 0.4.0, nach2 0.5.1, node $(node --version)"
node blocks.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
