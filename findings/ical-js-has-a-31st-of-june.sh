#!/usr/bin/env bash
# Expected: readers of iCalendar agree on the days of a rule (RFC 5545): what falls on a day that a month does not have is left out.
# Guessed: they differ in week numbers, if at all.
# Seen (ical.js 2.2.1, Mozilla's): MONTHLY rules are right, many YEARLY ones are not. The 30th and 31st of the quarters' last months gets
# days on the 1st of July and October; 29 February becomes 1 March in other years; YEARLY;BYMONTHDAY=31 is January alone.
# BYSETPOS counts with the BYDAY of months only: the last business day of the year is every business day from then on, and the last of the 28th, 29th
# and 30th is each of them from the second month on. Nothing is refused. rrule 2.8.1 and rrule-temporal 2.2.8 agree with each other
# on all of these, and with the RFC.
# For Waybill: it has no calendar. Who keeps fees or settlements due by a rule takes one of the other two, or MONTHLY rules without
# BYSETPOS over days of the month.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit ical.js@2.2.1 rrule@2.8.1 rrule-temporal@2.2.8 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >due.mjs <<'JS'
import ICAL from "ical.js";
import rrule from "rrule";
import { RRuleTemporal } from "rrule-temporal";

let failed = false;
const day = (date) => date.toISOString().slice(0, 10);
const byIcal = (start, rule) => {
  const iterator = ICAL.Recur.fromString(rule).iterator(ICAL.Time.fromString(`${start}T09:00:00Z`));
  const days = [];
  for (let next = iterator.next(); next; next = iterator.next()) days.push(day(next.toJSDate()));
  return days.join(" ");
};
const expect = (start, rule, wanted, right) => {
  const text = `DTSTART:${start.replaceAll("-", "")}T090000Z\nRRULE:${rule}`;
  const seen = byIcal(start, rule);
  const others = [
    rrule.rrulestr(text).all().map(day).join(" "),
    new RRuleTemporal({ rruleString: text }).all().map((date) => day(new Date(date.epochMilliseconds))).join(" "),
  ];
  console.log(`${rule}\n  ical.js ${seen}\n  others  ${[...new Set(others)].join(", or ")}`);
  failed ||= seen !== wanted || others.some((days) => days !== right);
};
expect("2026-03-31", "FREQ=YEARLY;BYMONTH=3,6,9,12;BYMONTHDAY=30,31;COUNT=5",
  "2026-03-31 2026-06-30 2026-07-01 2026-09-30 2026-10-01", "2026-03-31 2026-06-30 2026-09-30 2026-12-30 2026-12-31");
expect("2024-02-29", "FREQ=YEARLY;COUNT=3", "2024-02-29 2025-03-01 2026-03-01", "2024-02-29 2028-02-29 2032-02-29");
expect("2026-01-31", "FREQ=YEARLY;BYMONTHDAY=31;COUNT=3", "2026-01-31 2027-01-31 2028-01-31", "2026-01-31 2026-03-31 2026-05-31");
expect("2026-12-31", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3",
  "2026-12-31 2027-01-01 2027-01-04", "2026-12-31 2027-12-31 2028-12-29");
expect("2026-01-30", "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1;COUNT=4",
  "2026-01-30 2026-02-28 2026-03-28 2026-03-29", "2026-01-30 2026-02-28 2026-03-30 2026-04-30");
const months = "2026-03-31 2026-06-30 2026-09-30 2026-12-31";
expect("2026-03-31", "FREQ=MONTHLY;INTERVAL=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=4", months, months);
process.exitCode = failed ? 1 : 0;
JS
echo "ical.js 2.2.1, rrule 2.8.1, rrule-temporal 2.2.8, node $(node --version)"
node due.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
