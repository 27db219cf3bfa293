#!/usr/bin/env bash
# Expected: a daily rule with a TZID, at 08:00 in Los Angeles, is at 08:00 there on each day, also on that on which the clocks changed
# at two in the morning.
# Guessed: only times within the missing or the doubled hour differ between libraries.
# Seen (rrule 2.8.1, its newest, on a machine in UTC as servers are): on 8 March 2026 it is at 16:00 UTC, 09:00 in Los Angeles, on 1
# November at 15:00, 07:00. It asks for the zone's offset at the wall clock's time taken as UTC, so what lies within so many hours of the
# change as the zone is from UTC gets the offset from its other side: the morning in America, the night before in Europe (01:30 in
# Berlin on 25 October), nothing at 08:00 in Sydney. The days around it are right. rrule-temporal 2.2.8 is right on all; 02:30
# in Berlin on 29 March, which does not exist, it leaves out and does not count, as RFC 5545 has it, and rrule has 01:30.
# For Waybill: it keeps instants and has no shifts. Who makes them by a rule takes the other, or Temporal.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit rrule@2.8.1 rrule-temporal@2.2.8 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >shifts.mjs <<'JS'
import rrule from "rrule";
import { RRuleTemporal } from "rrule-temporal";

let failed = false;
const expect = (zone, start, wanted, right) => {
  const rule = `DTSTART;TZID=${zone}:${start}\nRRULE:FREQ=DAILY;COUNT=3`;
  const brief = (date) => date.toISOString().slice(5, 16);
  const seen = [
    rrule.rrulestr(rule).all().map(brief).join(" "),
    new RRuleTemporal({ rruleString: rule }).all().map((date) => brief(new Date(date.epochMilliseconds))).join(" "),
  ];
  console.log(`${zone}, daily from ${start}\n  rrule          ${seen[0]}\n  rrule-temporal ${seen[1]}`);
  failed ||= seen[0] !== wanted || seen[1] !== right;
};
expect("America/Los_Angeles", "20260307T080000", "03-07T16:00 03-08T16:00 03-09T15:00", "03-07T16:00 03-08T15:00 03-09T15:00");
expect("America/Los_Angeles", "20261031T080000", "10-31T15:00 11-01T15:00 11-02T16:00", "10-31T15:00 11-01T16:00 11-02T16:00");
expect("America/New_York", "20260307T040000", "03-07T09:00 03-08T09:00 03-09T08:00", "03-07T09:00 03-08T08:00 03-09T08:00");
expect("Europe/Berlin", "20261024T013000", "10-23T23:30 10-25T00:30 10-26T00:30", "10-23T23:30 10-24T23:30 10-26T00:30");
expect("Europe/Berlin", "20260328T023000", "03-28T01:30 03-29T00:30 03-30T00:30", "03-28T01:30 03-30T00:30 03-31T00:30");
expect("Australia/Sydney", "20261003T080000", "10-02T22:00 10-03T21:00 10-04T21:00", "10-02T22:00 10-03T21:00 10-04T21:00");
process.exitCode = failed ? 1 : 0;
JS
echo "rrule 2.8.1, rrule-temporal 2.2.8, node $(node --version)"
TZ=UTC node shifts.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
