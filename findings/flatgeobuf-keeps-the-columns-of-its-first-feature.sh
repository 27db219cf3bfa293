#!/usr/bin/env bash
# Expected: a GeoJSON that is written as FlatGeobuf and read again has its features with their properties; a property that one feature
# lacks is absent or null there.
# Guessed: so it is, but that numbers lose their type.
# Seen (flatgeobuf 4.5.0, its own library for JavaScript): the columns are those of the first feature, and their types those of its
# values. What only later features have is left out, without an error: where the first stop has no note, no stop has one; behind a
# first feature without properties all of them are gone. Where the first has 5 and another "5b", the other has null; true first makes
# 3 true. A text that is missing is an empty one. Numbers keep their values.
# For Waybill: it writes GeoJSON and GPX of a trip. Who makes FlatGeobuf of it has each feature name all properties, null where
# unknown, the first one with values.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit flatgeobuf@4.5.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >stops.mjs <<'JS'
import { geojson } from "flatgeobuf";

let failed = false;
const expect = async (wanted, ...stops) => {
  const feature = (properties, i) => ({ type: "Feature", properties, geometry: { type: "Point", coordinates: [13 + i, 52] } });
  const read = [];
  for await (const { geometry, properties } of geojson.deserialize(geojson.serialize({ type: "FeatureCollection", features: stops.map(feature) }))) {
    read[geometry.coordinates[0] - 13] = properties;
  }
  const seen = JSON.stringify(read);
  console.log(JSON.stringify(stops), "is read as", seen);
  failed ||= seen !== wanted;
};
await expect('[{"stop":1,"note":"gate"},{"stop":2,"note":""}]', { stop: 1, note: "gate" }, { stop: 2 });
await expect('[{"stop":1},{"stop":2}]', { stop: 1 }, { stop: 2, note: "gate" });
await expect("[{},{}]", {}, { stop: 2 });
await expect('[{"house":5},{"house":null}]', { house: 5 }, { house: "5b" });
await expect('[{"parcels":true},{"parcels":true}]', { parcels: true }, { parcels: 3 });
await expect('[{"km":1},{"km":2.5},{"km":3000000000}]', { km: 1 }, { km: 2.5 }, { km: 3000000000 });
process.exitCode = failed ? 1 : 0;
JS
echo "flatgeobuf 4.5.0, node $(node --version)"
node stops.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
