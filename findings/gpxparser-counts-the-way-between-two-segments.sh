#!/usr/bin/env bash
# Expected: a track's segments are what was recorded without a break (GPX 1.1: "a Track Segment holds a list of Track Points which are
# logically connected in order"), so the length of a track is that of its segments.
# Guessed: slopes would be off where heights are missing.
# Seen (gpxparser 3.0.8): all points of a track are one list, and the way from the last of one segment to the first of the next counts. Two
# rides of 111 m that began 111 km apart are 111.3 km, and one line of GeoJSON, which has them drive there; the difference of heights
# between them is a climb. gpxpy 1.5.0 adds up the segments.
# For Waybill: it reads each segment by itself. Who pays kilometres by a GPX file does so, too.
# Needs: Debian's python3-gpxpy 1.5.0, node and npm, which installs gpxparser into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
/usr/bin/python3 -c "import gpxpy" 2>/dev/null || { echo "needs Debian's python3-gpxpy" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit gpxparser@3.0.8 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >rides.gpx <<'GPX'
<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="example" xmlns="http://www.topografix.com/GPX/1/1"><trk>
  <trkseg><trkpt lat="52.5" lon="13.4"><ele>40</ele></trkpt><trkpt lat="52.501" lon="13.4"><ele>40</ele></trkpt></trkseg>
  <trkseg><trkpt lat="53.5" lon="13.4"><ele>90</ele></trkpt><trkpt lat="53.501" lon="13.4"><ele>90</ele></trkpt></trkseg>
</trk></gpx>
GPX
cat >rides.cjs <<'JS'
const { readFileSync } = require("node:fs");
const Parser = require("gpxparser");

const parser = new Parser();
parser.parse(readFileSync("rides.gpx", "utf8"));
const [{ points, distance, elevation }] = parser.tracks;
const [{ geometry }] = parser.toGeoJSON().features;
console.log(`${points.length} points, ${Math.round(distance.total)} m, ${elevation.pos} m up, ${geometry.type} of ${geometry.coordinates.length}`);
JS
seen=$(node rides.cjs)
other=$(/usr/bin/python3 -c "
import gpxpy
with open('rides.gpx') as file:
    track = gpxpy.parse(file).tracks[0]
print(f'{len(track.segments)} segments, {track.length_2d():.0f} m, {track.get_uphill_downhill().uphill:.0f} m up')")
echo "gpxparser 3.0.8, node $(node --version), gpxpy $(/usr/bin/python3 -c 'import importlib.metadata as m; print(m.version("gpxpy"))')"
echo "gpxparser: $seen"
echo "gpxpy:     $other"
if [[ $seen == "4 points, 111306 m, 50 m up, LineString of 4" && $other == "2 segments, 223 m, 0 m up" ]]; then
  echo "still so"
  exit 0
fi
echo "this has changed"
exit 1
