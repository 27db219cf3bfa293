#!/usr/bin/env bash
# Expected: a job that is due at 03:00 each day runs once each day at 03:00, also when the clocks go back, which in Berlin repeats what lies
# between two and three.
# Guessed: what is due within the repeated hour runs once or twice, by the library.
# Seen (cron 4.4.0, 19 million downloads a month): within that hour it runs once. What is due in the hour behind it runs twice: an
# hour early, at 02:00 by the new clock, and at 03:00. So does 02:30 in New York, and midnight in Santiago, where the day's close runs at
# 23:00 on the day that is not over yet, and again. croner 11.0.1 and cron-parser 5.10.6 name it once; cron-parser throws ("loop
# limit exceeded") for daily jobs on Lord Howe, whose clocks move by half an hour.
# For Waybill: it does nothing by the clock of a place. Who closes a day by such a job has the day's date in its idempotency key.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit cron@4.4.0 croner@11.0.1 cron-parser@5.10.6 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >nights.mjs <<'JS'
import { mock } from "node:test";
import { CronJob } from "cron";
import { CronExpressionParser } from "cron-parser";
import { Cron } from "croner";

let failed = false;
const brief = (date) => date.toISOString().slice(5, 16);
// Runs the job itself for three days by a clock of our own.
const run = (due, zone, from) => {
  mock.timers.enable({ apis: ["Date", "setTimeout"], now: from });
  const runs = [];
  const job = CronJob.from({ cronTime: due, timeZone: zone, start: true, onTick: () => { runs.push(brief(new Date())); } });
  for (let minute = 0; minute < 3 * 24 * 60; minute++) mock.timers.tick(60_000);
  job.stop();
  mock.timers.reset();
  return runs.join(" ");
};
const expect = (due, zone, day, wanted, right, byParser = right) => {
  const from = new Date(`${day}T12:00:00Z`);
  const seen = [run(due, zone, from), new Cron(due, { timezone: zone }).nextRuns(3, from).map(brief).join(" ")];
  try {
    const parsed = CronExpressionParser.parse(due, { currentDate: from, tz: zone });
    seen.push([1, 2, 3].map(() => brief(parsed.next().toDate())).join(" "));
  } catch (error) {
    seen.push(error.message);
  }
  console.log(`${due} in ${zone}, by UTC\n  cron        ${seen[0]}\n  croner      ${seen[1]}\n  cron-parser ${seen[2]}`);
  failed ||= seen[0] !== wanted || seen[1] !== right || seen[2] !== byParser;
};
expect("0 3 * * *", "Europe/Berlin", "2026-10-23", "10-24T01:00 10-25T01:00 10-25T02:00 10-26T02:00", "10-24T01:00 10-25T02:00 10-26T02:00");
expect("30 2 * * *", "America/New_York", "2026-10-30", "10-31T06:30 11-01T06:30 11-01T07:30 11-02T07:30",
  "10-31T06:30 11-01T07:30 11-02T07:30");
expect("0 0 * * *", "America/Santiago", "2026-04-03", "04-04T03:00 04-05T03:00 04-05T04:00 04-06T04:00", "04-04T03:00 04-05T04:00 04-06T04:00");
const once = "10-24T00:30 10-25T00:30 10-26T01:30";
expect("30 2 * * *", "Europe/Berlin", "2026-10-23", once, once);
const island = "04-03T21:00 04-04T21:30 04-05T21:30";
expect("0 8 * * *", "Australia/Lord_Howe", "2026-04-03", island, island, "Invalid expression, loop limit exceeded");
process.exitCode = failed ? 1 : 0;
JS
echo "cron 4.4.0, croner 11.0.1, cron-parser 5.10.6, node $(node --version)"
node nights.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
