#!/usr/bin/env bash
# Expected: what a time in a named zone gives (dayjs's own plugin "timezone") does not depend on the zone of the machine, and noon and a day
# is noon.
# Guessed: the latter fails on some change of the clocks, as its issues say.
# Seen (dayjs 1.11.23): noon in Berlin on 24 October 2026 and a day is 12:00+02:00, eleven o'clock by Berlin's clock, on a machine in UTC,
# and noon only where the machine itself is in Berlin; written out it still says 12:00. On a machine in Los Angeles, whose clocks go back
# a week later, the 25th begins an hour late and October ends an hour late, at 01:00 on 1 November, so an hour's payments are in
# both months or in the wrong one. No machine in UTC or Berlin shows the latter in a test. luxon 3.7.2, and date-fns 4.4.0 with
# @date-fns/tz 1.5.0, are right on all three.
# For Waybill: days and months in its reports are UTC's, or a zone's by tzdata. Who makes --from and --to of days elsewhere by dayjs runs it
# in UTC and makes each end by dayjs.tz of a text.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit dayjs@1.11.23 luxon@3.7.2 date-fns@4.4.0 @date-fns/tz@1.5.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >october.mjs <<'JS'
import { TZDate } from "@date-fns/tz";
import { addDays, endOfMonth, startOfDay } from "date-fns";
import dayjs from "dayjs";
import timezone from "dayjs/plugin/timezone.js";
import utc from "dayjs/plugin/utc.js";
import { DateTime } from "luxon";

dayjs.extend(utc);
dayjs.extend(timezone);
const zone = "Europe/Berlin";
const brief = (milliseconds) => new Date(Math.round(milliseconds / 1000) * 1000).toISOString().slice(5, 16);
const results = {
  dayjs: [dayjs.tz("2026-10-24 12:00", zone).add(1, "day"), dayjs.tz("2026-10-25 12:00", zone).startOf("day"),
    dayjs.tz("2026-10-05 12:00", zone).endOf("month")],
  luxon: [DateTime.fromISO("2026-10-24T12:00", { zone }).plus({ days: 1 }), DateTime.fromISO("2026-10-25T12:00", { zone }).startOf("day"),
    DateTime.fromISO("2026-10-05T12:00", { zone }).endOf("month")],
  "date-fns": [addDays(new TZDate(2026, 9, 24, 12, zone), 1), startOfDay(new TZDate(2026, 9, 25, 12, zone)),
    endOfMonth(new TZDate(2026, 9, 5, 12, zone))],
};
for (const [name, dates] of Object.entries(results)) console.log(name, dates.map((date) => brief(date.valueOf())).join(" "));
JS
echo "dayjs 1.11.23, luxon 3.7.2, date-fns 4.4.0 with @date-fns/tz 1.5.0, node $(node --version)"
echo "noon of the 24th and a day, the 25th begins, October ends; by UTC"
failed=0
right="10-25T11:00 10-24T22:00 10-31T23:00"
expect() { # ZONE DAYJS
  local seen
  seen=$(TZ=$1 node october.mjs)
  echo "in $1:"
  echo "  ${seen//$'\n'/$'\n'  }"
  [[ $seen == "dayjs $2"$'\n'"luxon $right"$'\n'"date-fns $right" ]] || failed=1
}
expect UTC "10-25T10:00 10-24T22:00 10-31T23:00"
expect America/Los_Angeles "10-25T10:00 10-24T23:00 11-01T00:00"
expect Europe/Berlin "$right"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
