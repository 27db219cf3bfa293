#!/usr/bin/env bash
# Expected: getDistanceFromLine gives the distance of a point from a line in metres, to within the metre that its parameter accuracy,
# 1 by default, speaks of; isPointNearLine goes by it.
# Seen (geolib 3.3.14): the lengths of the triangle's sides are rounded to whole metres, and then an angle is taken of them that is
# next to zero, where its cosine says next to nothing. A point in the middle of a street of 1.1 km is 23.6 m beside it, one in the
# middle of a line of 111 km 236 m, and one that is 111 m beside that line is 236 m beside it as well. isPointNearLine with 10 m
# says no of a point on the line. With accuracy 0.01 it is still 2.4 m. (turf 7.4.0 gives less than a millimetre.)
# The readme says of accuracy only that a smaller one helps where the answer is NaN.
# For Waybill: who asks whether a driver has left a route, by positions of WatchLocations and geolib, is told so of nearly everyone
# who is on it. Turf's pointToLineDistance, or PostGIS, answers that.
# Needs: node and npm, which installs geolib and turf into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit geolib@3.3.14 @turf/point-to-line-distance@7.4.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >beside.mjs <<'JS'
import { getDistanceFromLine, isPointNearLine } from "geolib";
import { pointToLineDistance } from "@turf/point-to-line-distance";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(58), seen);
  failed ||= wanted !== seen;
};
const at = ([latitude, longitude]) => ({ latitude, longitude });
const turned = ([latitude, longitude]) => [longitude, latitude];
const geolib = (point, line, ...more) => getDistanceFromLine(at(point), ...line.map(at), ...more).toFixed(1);
const turf = (point, line) =>
  pointToLineDistance(turned(point), { type: "LineString", coordinates: line.map(turned) }, { units: "meters" }).toFixed(1);

const street = [[52.52, 13.4], [52.53, 13.4]], onStreet = [52.525, 13.4];
expect("turf: in the middle of a street of 1.1 km", "0.0", turf(onStreet, street));
expect("geolib: the same", "23.6", geolib(onStreet, street));
expect("geolib: is it within 10 m of the street?", false, isPointNearLine(at(onStreet), ...street.map(at), 10));
expect("geolib: with accuracy 0.01", "2.4", geolib(onStreet, street, 0.01));
const equator = [[0, 1], [0, 2]];
expect("turf: in the middle of 111 km of the equator", "0.0", turf([0, 1.5], equator));
expect("geolib: the same", "235.9", geolib([0, 1.5], equator));
expect("turf: 111 m north of that", "111.2", turf([0.001, 1.5], equator));
expect("geolib: the same", "235.9", geolib([0.001, 1.5], equator));
process.exitCode = failed ? 1 : 0;
JS
echo "geolib 3.3.14, @turf/point-to-line-distance 7.4.0, node $(node --version)"
node beside.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
