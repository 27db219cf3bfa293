#!/usr/bin/env bash
# Expected: a library that gives the BIC to an IBAN knows the bank by the bank code in it, eight digits in Germany, or gives nothing.
# Guessed: right for Germany, nothing for most other countries.
# Seen (bic-from-iban 1.0.0): it takes the first four characters of the account's part, less their zeros, for the number of a row in its
# list of the country's banks, which is sorted by name. An IBAN at Commerzbank gets the BIC of SEB, those at N26 and DKB get those of two
# branches of Dresdner Bank, which is gone, one of Luxembourg's savings bank gets some other's. Each BIC is well-formed and of the
# right country, so no check of a file finds it. Where there are letters or no such row (ABN AMRO, CaixaBank) there is none.
# iban-to-bic 1.4.0 gives the right ones.
# For Waybill: it makes no files for banks. Who makes them of its payments leaves the BIC out, which SEPA does not ask for, or has it
# from the payee.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit bic-from-iban@1.0.0 iban-to-bic@1.4.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >bics.cjs <<'JS'
const { getBIC } = require("bic-from-iban");
const { ibanToBic } = require("iban-to-bic");

let failed = false;
const iban = (country, account) => {
  const digits = [...`${account}${country}00`].map((sign) => parseInt(sign, 36)).join("");
  return `${country}${String(98n - (BigInt(digits) % 97n)).padStart(2, "0")}${account}`;
};
const expect = (bank, account, wanted, right) => {
  const number = iban(...account);
  const seen = [getBIC(number), ibanToBic(number)];
  console.log(bank.padEnd(22), number.padEnd(24), `bic-from-iban ${seen[0] || "none"}, iban-to-bic ${seen[1] ?? "none"}`);
  failed ||= seen[0] !== wanted || seen[1] !== right;
};
expect("Commerzbank, Köln", ["DE", "370400440532013000"], "ESSEDE5F362", "COBADEFFXXX");
expect("N26, Berlin", ["DE", "100110012345678901"], "DRESDEFFJ14", "NTSBDEB1XXX");
expect("DKB, Berlin", ["DE", "120300001012345678"], "DRESDEFF834", "BYLADEM1001");
expect("Spuerkeess, Luxembourg", ["LU", "0019400644750000"], "LUMILULLXXX", "BCEELULL");
expect("ABN AMRO", ["NL", "ABNA0417164300"], "", "ABNANL2A");
expect("CaixaBank", ["ES", "21000418450200051332"], "", "CAIXESBB");
process.exitCode = failed ? 1 : 0;
JS
echo "bic-from-iban 1.0.0, iban-to-bic 1.4.0, node $(node --version)"
node bics.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
