#!/usr/bin/env bash
# Expected: a duration that is written in ISO 8601 and read again by the same library is the same, also one below zero.
# Guessed: so it is; a comma for the decimal mark, which ISO 8601 allows, would be refused.
# Seen (dayjs 1.11.23, its own plugin "duration"): minus five minutes are written -PT5M, as by moment and XML Schema, and read as plus five.
# toJSON writes so, too, so each trip through JSON makes an early arrival a late one by as much. Where only some parts are below zero, a
# minus goes to the front of all: a day less two hours, 79200 s, is -P1DT2H, read as 93600. PT1,5H is 0, and nothing is
# thrown. moment 2.30.1 reads back what it wrote and takes the comma; luxon 3.7.2 does the former, and says "invalid" of the comma.
# For Waybill: its durations in JSON are proto3's, "-300s". Who shows how early a driver is by dayjs sends a number of seconds.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit dayjs@1.11.23 moment@2.30.1 luxon@3.7.2 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >early.cjs <<'JS'
const dayjs = require("dayjs");
dayjs.extend(require("dayjs/plugin/duration"));
const { Duration } = require("luxon");
const moment = require("moment");

let failed = false;
const libraries = {
  dayjs: [(parts) => dayjs.duration(parts).toISOString(), (text) => dayjs.duration(text).asSeconds()],
  moment: [(parts) => moment.duration(parts).toISOString(), (text) => moment.duration(text).asSeconds()],
  luxon: [(parts) => Duration.fromObject(parts).toISO(), (text) => Duration.fromISO(text).as("seconds")],
};
const expect = (what, ...wanted) => {
  const seen = Object.entries(libraries).map(([name, [write, read]]) => {
    const text = typeof what === "string" ? what : write(what);
    return `${name} ${text} ${read(text)}`;
  });
  console.log(JSON.stringify(what).padEnd(22), seen.join("; "));
  failed ||= seen.join() !== wanted.join();
};
expect({ minutes: 5 }, "dayjs PT5M 300", "moment PT5M 300", "luxon PT5M 300");
expect({ minutes: -5 }, "dayjs -PT5M 300", "moment -PT5M -300", "luxon PT-5M -300");
expect({ days: 1, hours: -2 }, "dayjs -P1DT2H 93600", "moment P1DT-2H 79200", "luxon P1DT-2H 79200");
expect("PT1,5H", "dayjs PT1,5H 0", "moment PT1,5H 5400", "luxon PT1,5H NaN");
const sent = dayjs.duration(JSON.parse(JSON.stringify({ late: dayjs.duration({ minutes: -5 }) })).late).asSeconds();
console.log("dayjs, through JSON".padEnd(22), sent);
failed ||= sent !== 300;
process.exitCode = failed ? 1 : 0;
JS
echo "dayjs 1.11.23, moment 2.30.1, luxon 3.7.2, node $(node --version)"
node early.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
