#!/usr/bin/env bash
# Expected: timer_time of a record in a FIT file is the time since the start less the pauses, as `total_timer_time` of a session is. The
# timer's events say when it stood: stop, stop_all, stop_disable and stop_disable_all, each until the next start.
# Guessed: so it is.
# Seen (fit-file-parser 6.1.2, with elapsedRecordField): only stop_all counts. A device that writes stop has its pauses counted in full:
# 600 s of waiting are 600 s of work. Where a file has both, as when the rider pauses with the button and the device by itself,
# the start after a `stop` takes off all the time since the last stop_all for a second time: after 670 s with 70 s of pauses
# timer_time is 10 instead of 600. A second start without a stop does the same and makes it negative.
# For Waybill: it reads no FIT; gpsbabel makes GPX of it, where times stay as they are. Who pays hours by timer_time adds up the
# records between the events.
# Needs: node and npm, which installs it and @markw65/fit-file-writer into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit fit-file-parser@6.1.2 @markw65/fit-file-writer@0.1.9 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
cat >pauses.mjs <<'JS'
import { FitWriter } from "@markw65/fit-file-writer";
import parser from "fit-file-parser";

const FitParser = parser.default ?? parser;
let failed = false;
const start = Date.parse("2026-11-27T12:00:00Z");

// Steps are [seconds, a timer's event] or [seconds], a record.
const timers = async (steps) => {
  const writer = new FitWriter();
  const at = (seconds) => writer.time(new Date(start + seconds * 1000));
  const file = { type: "activity", manufacturer: "garmin", product: 0, serial_number: 1, time_created: at(0) };
  writer.writeMessage("file_id", file, null, true);
  for (const [seconds, event_type] of steps) {
    const timestamp = at(seconds);
    if (event_type) writer.writeMessage("event", { timestamp, event: "timer", event_type }, null, false);
    else writer.writeMessage("record", { timestamp, distance: seconds }, null, false);
  }
  const fit = new FitParser({ mode: "list", elapsedRecordField: true });
  const { records } = await fit.parseAsync(Buffer.from(writer.finish().buffer));
  return records.map((record) => `${record.timer_time} of ${record.elapsed_time}`);
};
const expect = async (what, wanted, steps) => {
  const seen = (await timers(steps)).at(-1);
  console.log(what.padEnd(44), `timer_time ${seen}`);
  failed ||= wanted !== seen;
};
for (const [stop, wanted] of [["stop_all", "120 of 720"], ["stop", "720 of 720"], ["stop_disable_all", "720 of 720"]]) {
  await expect(`${stop} for 600 s`, wanted, [[0, "start"], [0], [60], [60, stop], [660, "start"], [660], [720]]);
}
const first = [[0, "start"], [0], [10, "stop_all"], [20, "start"], [30], [600]];
await expect("stop_all for 10 s", "590 of 600", first);
await expect("stop_all for 10 s, then stop for 60 s", "10 of 670", [...first, [600, "stop"], [660, "start"], [670]]);
const twice = [[0, "start"], [0], [10, "stop_all"], [110, "start"], [1000, "start"], [1010]];
await expect("stop_all for 100 s, then a start again", "-80 of 1010", twice);
process.exitCode = failed ? 1 : 0;
JS
echo "fit-file-parser 6.1.2, @markw65/fit-file-writer 0.1.9, node $(node --version)"
node pauses.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
