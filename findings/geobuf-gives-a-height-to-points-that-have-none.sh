#!/usr/bin/env bash
# Expected: a GeoJSON that is written as Geobuf and read again is the same to six decimals; a point without a height has none.
# Guessed: where some points have heights and some do not, all heights are lost.
# Seen (geobuf 4.0.0): one height anywhere, and every point of the file has one. A point by itself gets 0. On a line, a point without
# one gets that of the point before it, and so do all that follow, whatever theirs is: a fix without a height after one at 412 m,
# and the rest of the way is at 412 m. No error, and nothing tells the heights that were measured from those that were not.
# For Waybill: it writes GeoJSON of a trip with latitude and longitude alone. Who adds heights, or mixes it with tracks that have them,
# keeps those apart, or the heights as properties.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit geobuf@4.0.0 pbf@4.0.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >heights.mjs <<'JS'
import { decode, encode } from "geobuf";
import Pbf from "pbf";

let failed = false;
const expect = (wanted, ...geometries) => {
  const features = geometries.map(([type, coordinates]) => ({ type: "Feature", properties: {}, geometry: { type, coordinates } }));
  const bytes = encode({ type: "FeatureCollection", features }, new Pbf());
  const seen = JSON.stringify(decode(new Pbf(bytes)).features.map(({ geometry }) => geometry.coordinates));
  console.log(JSON.stringify(geometries.map(([, coordinates]) => coordinates)), "is read as", seen);
  failed ||= seen !== wanted;
};
const line = (...points) => ["LineString", points];
expect("[[13.4,52.5],[[13,52],[14,53]]]", ["Point", [13.4, 52.5]], line([13, 52], [14, 53]));
expect("[[13.4,52.5,0],[13.5,52.5,38]]", ["Point", [13.4, 52.5]], ["Point", [13.5, 52.5, 38]]);
expect("[[[13,52,412],[14,53,412],[15,54,412],[16,55,412]]]", line([13, 52, 412], [14, 53], [15, 54, 38], [16, 55, 35]));
process.exitCode = failed ? 1 : 0;
JS
echo "geobuf 4.0.0, node $(node --version)"
node heights.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
