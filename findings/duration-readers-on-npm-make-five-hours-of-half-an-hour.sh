#!/usr/bin/env bash
# Expected: a reader of durations takes a comma for the decimal mark, as most of Europe writes it and ISO 8601 does, or refuses it.
# Guessed: "1,5h" is an hour and a half or nothing.
# Seen (parse-duration 2.1.9 and timestring 7.0.0, two million downloads a month each): fifteen hours. Commas are taken out as if they stood
# before thousands, however many digits follow: "0,5h" is five hours, "2,25 min" 225 minutes. Of "1:30" parse-duration makes 1.03, a
# millisecond. Besides, timestring drops a minus: "-30m" is thirty minutes. Nothing is thrown or null. parse-duration has a locale for
# German, which takes "1,5h" rightly and "1.5h" for fifteen hours. ms 2.1.3 says undefined, @js-temporal/polyfill 0.5.1 reads PT1,5H.
# For Waybill: its times in JSON are proto3's, "5400s". Who reads a patience or a hold from a form or a file by one of these checks that it
# has no comma, or takes a number with its unit in the field's name.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit parse-duration@2.1.9 timestring@7.0.0 ms@2.1.3 @js-temporal/polyfill@0.5.1 \
  >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >durations.mjs <<'JS'
import { Temporal } from "@js-temporal/polyfill";
import ms from "ms";
import parse from "parse-duration";
import german from "parse-duration/locale/de.js";
import timestring from "timestring";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(28), seen);
  failed ||= wanted !== String(seen);
};
const minutes = (milliseconds) => `${milliseconds / 60000} min`;
expect("parse-duration 1.5h", "90 min", minutes(parse("1.5h")));
expect("parse-duration 1,5h", "900 min", minutes(parse("1,5h")));
expect("parse-duration 0,5h", "300 min", minutes(parse("0,5h")));
expect("parse-duration 2,25 min", "225 min", minutes(parse("2,25 min")));
expect("parse-duration 1:30, in ms", "1.03", parse("1:30"));
expect("parse-duration -30m", "-30 min", minutes(parse("-30m")));
expect("timestring 1.5h", "90 min", minutes(timestring("1.5h", "ms")));
expect("timestring 1,5h", "900 min", minutes(timestring("1,5h", "ms")));
expect("timestring -30m", "30 min", minutes(timestring("-30m", "ms")));
expect("ms 1,5h", "undefined", ms("1,5h"));
expect("Temporal PT1,5H", "90 min", minutes(Temporal.Duration.from("PT1,5H").total("milliseconds")));
Object.assign(parse.unit, german);
expect("parse-duration, de, 1,5h", "90 min", minutes(parse("1,5h")));
expect("parse-duration, de, 1.5h", "900 min", minutes(parse("1.5h")));
process.exitCode = failed ? 1 : 0;
JS
echo "parse-duration 2.1.9, timestring 7.0.0, ms 2.1.3, @js-temporal/polyfill 0.5.1, node $(node --version)"
node durations.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
