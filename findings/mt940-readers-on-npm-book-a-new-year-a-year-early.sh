#!/usr/bin/env bash
# Expected: a line of MT940 has a value date with its year and an entry date without one (:61:2612310102 is the last of December 2026,
# entered on the second of January), and a reader gives the entry the year next to the value date: 2027.
# Seen (mt940js 1.3.5 and mt940-js 1.0.0, the two readers on npm): both take the year of the value date as it stands. What was
# entered on 2 January 2027 is of 2 January 2026, and what was entered on 31 December 2026 with a value of 2 January 2027 is of
# 31 December 2027, which is yet to come. All other days of the year are right, so no test of a summer shows it.
# aqbanking 6.5.3 (Debian 12, tried by hand) has 2027 and 2026.
# For Waybill: nothing of ours reads statements. Who looks for a refund by the day it was booked (`payments.refunded_at` and a
# few days) misses those around New Year; the value date is right in both.
# Needs: node and npm, which installs both (and tslib, which one forgets to ask for) into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit mt940-js@1.0.0 mt940js@1.3.5 tslib@2.8.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
sed 's/$/\r/' >statement.sta <<'MT940'
:20:FINDING
:25:10020030/1234567890
:28C:1/1
:60F:C261130EUR1000,00
:61:2612011202C1,00NTRFUSUAL
:86:valued on 1 December, entered on the 2nd
:61:2612310102C1,00NTRFLATER
:86:valued on 31 December, entered on 2 January
:61:2701021231C1,00NTRFEARLIER
:86:valued on 2 January, entered on 31 December
:62F:C270102EUR1003,00
MT940
cat >read.mjs <<'JS'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const bytes = readFileSync("statement.sta");
const day = (date) => (date instanceof Date ? date.toISOString() : date).slice(0, 10);
const show = (of, lines) => console.log(of, lines.map((dates) => dates.map(day).join(">")).join(" "));

const [first] = await require("mt940-js").read(bytes);
show("mt940-js", first.transactions.map((line) => [line.valueDate, line.entryDate]));
const [second] = new (require("mt940js").Parser)().parse(bytes.toString("latin1"));
show("mt940js", second.transactions.map((line) => [line.date, line.entryDate]));
JS
echo "mt940-js 1.0.0, mt940js 1.3.5, node $(node --version)"
TZ=UTC node read.mjs >read.txt || { echo "this has changed"; exit 1; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-9s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
wanted="2026-12-01>2026-12-02 2026-12-31>2026-01-02 2027-01-02>2027-12-31"
expect "mt940-js" "$wanted" "$(sed -n 's/^mt940-js //p' read.txt)"
expect "mt940js" "$wanted" "$(sed -n 's/^mt940js //p' read.txt)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
