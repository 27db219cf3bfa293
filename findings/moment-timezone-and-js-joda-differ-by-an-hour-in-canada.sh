#!/usr/bin/env bash
# Expected: two libraries of time zones in their newest versions give the same hour for a city in Canada.
# Guessed: they differ in a small zone or two.
# Seen (moment-timezone 0.6.6, which carries tzdata 2026f, and @js-joda/timezone 2.25.2): this winter they are an hour apart in Vancouver,
# Edmonton, Winnipeg, Inuvik and Havana, where the clocks no longer change by the newer data, and in Casablanca. Neither reads what the
# machine has: each package has a copy, and so has Node.js in its own ICU (2025c in 20.20.2), which luxon, date-fns-tz and
# day.js ask. Debian 12's tzdata, which PostgreSQL, Python and C++ read, has become 2026f by its updates. So 18:00 in Vancouver,
# written by one part of a program, is 17:00 to another, without an error.
# For Waybill: it counts in UTC and reads the system's tzdata where a zone is named, for tracks and for gateways' days (--zone), so keep
# that at Debian's updates. Who keeps cut-off times by a city's clock looks at process.versions.tz and at the packages' own data.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit moment-timezone@0.6.6 @js-joda/core@6.3.2 @js-joda/timezone@2.25.2 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
cat >winter.cjs <<'JS'
const joda = require("@js-joda/core");
require("@js-joda/timezone");
const moment = require("moment-timezone");

let failed = false;
const noon = Date.parse("2026-12-01T12:00:00Z");
const icu = (zone) => Number(new Date(noon).toLocaleString("en-GB", { timeZone: zone, hour: "numeric" })) - 12;
const expect = (zone, ...wanted) => {
  const seen = [moment.tz(noon, zone).utcOffset() / 60, joda.ZoneId.of(zone).rules().offset(joda.Instant.ofEpochMilli(noon)).totalSeconds() / 3600];
  console.log(zone.padEnd(18), `moment-timezone ${seen[0]} h, js-joda ${seen[1]} h, Node.js itself ${icu(zone)} h`);
  failed ||= seen.join() !== wanted.join();
};
console.log(`1 December 2026, 12:00 UTC; moment-timezone's data ${moment.tz.dataVersion}, Node.js's ${process.versions.tz}`);
expect("America/Vancouver", -7, -8);
expect("America/Edmonton", -6, -7);
expect("America/Winnipeg", -5, -6);
expect("America/Inuvik", -6, -7);
expect("America/Havana", -4, -5);
expect("Africa/Casablanca", 0, 1);
expect("America/Toronto", -5, -5);
expect("Europe/Berlin", 1, 1);
process.exitCode = failed ? 1 : 0;
JS
echo "moment-timezone 0.6.6, @js-joda/timezone 2.25.2, node $(node --version)"
node winter.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
