#!/usr/bin/env bash
# Expected: the business days between two days are as many in one direction as in the other, and libraries agree on them: from Saturday
# 28 November to Tuesday 1 December 2026 one or two, by whether the last day counts, and the same back.
# Guessed: date-fns, moment-business-days and dayjs-business-days agree.
# Seen: they do from a weekday. From a weekend differenceInBusinessDays of date-fns 4.4.0 is 1 one way and -2 the other way for the
# same two days, while dayjs-business-days 1.0.4 says 1 and -1, moment-business-days 1.2.0 1 and 1. Adding is right in all
# three: Saturday and two business days is Tuesday. So with date-fns a deadline that was set by adding two is, by the
# difference from its start, one day away.
# For Waybill: its holds count hours. Who says how many business days a payout is late subtracts in one direction only, and from a
# business day.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit date-fns@4.4.0 dayjs@1.11.23 dayjs-business-days@1.0.4 moment@2.30.1 \
  moment-business-days@1.2.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >days.cjs <<'JS'
const { addBusinessDays, differenceInBusinessDays, format, parseISO } = require("date-fns");
const dayjs = require("dayjs");
dayjs.extend(require("dayjs-business-days").default ?? require("dayjs-business-days"));
const moment = require("moment-business-days");

let failed = false;
const expect = (what, wanted, ...seen) => {
  console.log(what.padEnd(44), `date-fns ${seen[0]}, dayjs ${seen[1]}, moment ${seen[2]}`);
  failed ||= wanted !== seen.join(" ");
};
const between = (from, to) => [differenceInBusinessDays(parseISO(to), parseISO(from)), dayjs(to).businessDiff(dayjs(from)),
  moment(to).businessDiff(moment(from))];
const tuesday = "2026-12-01";
expect("Friday to Tuesday", "2 2 2", ...between("2026-11-27", tuesday));
expect("Tuesday to Friday", "-2 -2 2", ...between(tuesday, "2026-11-27"));
expect("Saturday to Tuesday", "1 1 1", ...between("2026-11-28", tuesday));
expect("Tuesday to Saturday", "-2 -1 1", ...between(tuesday, "2026-11-28"));
expect("Sunday to Tuesday", "1 1 1", ...between("2026-11-29", tuesday));
expect("Tuesday to Sunday", "-2 -1 1", ...between(tuesday, "2026-11-29"));
const saturday = "2026-11-28";
expect("Saturday and two business days", `${tuesday} ${tuesday} ${tuesday}`, format(addBusinessDays(parseISO(saturday), 2), "yyyy-MM-dd"),
  dayjs(saturday).businessDaysAdd(2).format("YYYY-MM-DD"), moment(saturday).businessAdd(2).format("YYYY-MM-DD"));
process.exitCode = failed ? 1 : 0;
JS
echo "date-fns 4.4.0, dayjs-business-days 1.0.4, moment-business-days 1.2.0, node $(node --version)"
node days.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
