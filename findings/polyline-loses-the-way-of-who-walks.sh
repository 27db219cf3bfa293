#!/usr/bin/env bash
# Expected: an encoded polyline has each point to within half of its last digit, a metre or less at five digits, however many points
# come before it: the format takes the differences between points that are rounded already.
# Guessed: libraries differ in how they round a half, so by one digit here and there.
# Seen (polyline 0.2.0, which Mapbox still publishes beside @mapbox/polyline): it rounds the differences. Each point's error adds to the
# next, and with a fix a second the errors have one direction: after half an hour at 1.4 m/s north the end of the line is 516 m from
# where the walker is, after an hour at 8.3 m/s 1.5 km, and at 0.5 m/s nobody moves at all: all differences round to zero. No
# error; polylines of far apart points are right, so are those of @mapbox/polyline, google-polyline and @googlemaps/polyline-codec.
# For Waybill: it stores and gives points, not polylines. Who makes them for a map takes one of the other three.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit polyline@0.2.0 @mapbox/polyline@1.2.1 google-polyline@1.0.3 \
  @googlemaps/polyline-codec@1.0.28 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >walk.cjs <<'JS'
const codecs = ["polyline", "@mapbox/polyline", "google-polyline", "@googlemaps/polyline-codec"].map((name) => require(name));
const degree = 111320;
const shrink = Math.cos((52.5 * Math.PI) / 180);
const metres = ([lat, lng], [to, toLng]) => Math.hypot((lat - to) * degree, (lng - toLng) * degree * shrink);

let failed = false;
const expect = (what, wanted, seconds, speed, bearing) => {
  const [north, east] = [Math.cos, Math.sin].map((f) => (f((bearing * Math.PI) / 180) * speed) / degree);
  const track = Array.from({ length: seconds + 1 }, (_, i) => [52.5 + i * north, 13.4 + (i * east) / shrink]);
  const off = codecs.map(({ encode, decode }) => Math.round(metres(decode(encode(track)).at(-1), track.at(-1))));
  console.log(`${what}: ${Math.round(metres(track[0], track.at(-1)))} m away, by the polylines ${off.join(", ")} m off`);
  failed ||= off.join() !== [wanted, 0, 0, 0].join();
};
expect("half an hour at 1.4 m/s north", 516, 1800, 1.4, 0);
expect("half an hour at 1.4 m/s north-east", 604, 1800, 1.4, 45);
expect("ten minutes at 0.5 m/s", 300, 600, 0.5, 20);
expect("an hour at 8.3 m/s", 1452, 3600, 8.3, 60);
process.exitCode = failed ? 1 : 0;
JS
echo "polyline 0.2.0, @mapbox/polyline 1.2.1, google-polyline 1.0.3, @googlemaps/polyline-codec 1.0.28, node $(node --version)"
node walk.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
