#!/usr/bin/env bash
# Expected: in what @tmcw/togeojson makes of a GPX track with several segments, coordinateProperties.times[i] has the times of
# the line coordinates[i]; for a segment without times an empty entry, as a segment without heart rates gets nulls.
# Seen (@tmcw/togeojson 7.1.3 with @xmldom/xmldom 0.9.8): a segment without times has no entry, so the times of every later
# one move up by one. Where the numbers of points agree, nothing shows that: the first segment has the second's times.
# For Waybill: tracks that were converted like that must not be paired by place; only GPX itself says which time is whose.
# Needs: node and npm, which installs both packages into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit @tmcw/togeojson@7.1.3 @xmldom/xmldom@0.9.8 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >segments.mjs <<'JS'
import { gpx } from "@tmcw/togeojson";
import { DOMParser } from "@xmldom/xmldom";

const point = (latitude, more) => `<trkpt lat="${latitude}" lon="13.4">${more}</trkpt>`;
const time = (second) => `<time>2026-11-27T10:00:0${second}Z</time>`;
const rate = (beats) => `<extensions><gpxtpx:TrackPointExtension><gpxtpx:hr>${beats}</gpxtpx:hr></gpxtpx:TrackPointExtension></extensions>`;
const convert = (first, second) =>
  gpx(
    new DOMParser().parseFromString(
      `<?xml version="1.0"?><gpx version="1.1" creator="finding" xmlns="http://www.topografix.com/GPX/1/1"
        xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2"><trk>
        <trkseg>${first}</trkseg><trkseg>${second}</trkseg></trk></gpx>`,
      "text/xml",
    ),
  ).features[0];
let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(56), JSON.stringify(seen));
  failed ||= JSON.stringify(wanted) !== JSON.stringify(seen);
};

const second = point(53, time(3) + rate(77)) + point(54, time(4) + rate(78));
const third = "2026-11-27T10:00:03Z", fourth = "2026-11-27T10:00:04Z";
const untimed = convert(point(51, "") + point(52, ""), second);
expect("latitudes", [[51, 52], [53, 54]], untimed.geometry.coordinates.map((line) => line.map((place) => place[1])));
expect("times, when only 53 and 54 have any", [[third, fourth]], untimed.properties.coordinateProperties.times);
expect("heart rates, when only 53 and 54 have any", [[null, null], [77, 78]], untimed.properties.coordinateProperties.heart);
process.exitCode = failed ? 1 : 0;
JS
echo "@tmcw/togeojson $(node -p 'require("./node_modules/@tmcw/togeojson/package.json").version'), node $(node --version)"
node segments.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
