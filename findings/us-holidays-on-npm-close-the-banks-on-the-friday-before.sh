#!/usr/bin/env bash
# Expected: a library that knows the holidays of the United States, and calls one of its kinds "bank", says when ACH and Fedwire settle.
# Guessed: date-holidays does.
# Seen (date-holidays 3.37.0, @18f/us-federal-holidays 4.0.0): where a holiday falls on a Saturday both name the Friday before. That is
# when federal offices close; the Federal Reserve Banks are open on that Friday, by their own calendar, and settle. So 3 July 2026, 18 June
# 2027 and 24 December 2027 are taken for holidays, and a payout that is due then is said to come on the Monday after, or a file
# is sent a day early. date-holidays marks them as public and has no day of the kind bank. On Sundays' holidays, moved to Monday,
# all agree. @18f/us-federal-holidays has { shiftSaturdayHolidays: false }, and is right with it.
# For Waybill: its holds count hours, not business days. Who tells a driver the day of a payout leaves out substitutes before the holiday.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit date-holidays@3.37.0 @18f/us-federal-holidays@4.0.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >fridays.mjs <<'JS'
import federal from "@18f/us-federal-holidays";
import Holidays from "date-holidays";

let failed = false;
const check = (what, wanted, seen) => {
  console.log(what.padEnd(40), seen);
  failed ||= wanted !== seen;
};
const united = new Holidays("US");
const closed = (day) => {
  const held = (united.isHoliday(new Date(`${day}T12:00:00-05:00`)) || []).find(({ type }) => type === "public");
  const noon = new Date(`${day}T12:00:00Z`);
  const byLaw = [{}, { shiftSaturdayHolidays: false }].map((shift) => (federal.isAHoliday(noon, { utc: true, ...shift }) ? "closed" : "open"));
  return `${held ? `closed (${held.type})` : "open"}, ${byLaw[0]}, ${byLaw[1]} unshifted`;
};
check("kinds of date-holidays, 2026 and 2027", "public observance optional",
  [...new Set([2026, 2027].flatMap((year) => united.getHolidays(year)).map(({ type }) => type))].join(" "));
check("Fri 3 July 2026, for the Saturday", "closed (public), closed, open unshifted", closed("2026-07-03"));
check("Fri 18 June 2027, for the Saturday", "closed (public), closed, open unshifted", closed("2027-06-18"));
check("Fri 24 December 2027, for the Saturday", "closed (public), closed, open unshifted", closed("2027-12-24"));
check("Mon 5 July 2027, for the Sunday", "closed (public), closed, closed unshifted", closed("2027-07-05"));
process.exitCode = failed ? 1 : 0;
JS
echo "date-holidays 3.37.0, @18f/us-federal-holidays 4.0.0, node $(node --version)"
TZ=America/New_York node fridays.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
