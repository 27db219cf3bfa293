#!/usr/bin/env bash
# Expected: an encoder of polylines takes points as {lat, lng}, as maps' APIs have them, or as [lat, lng], and writes the same of both.
# Guessed: so it does.
# Seen (google-polyline 1.0.3): of an object, a latitude or longitude of just 0 counts as missing (it is taken by ||), the point stays where
# the one before it was, and the next difference is lost, too: all that follows stands as far off as that. A route through
# Greenwich is right up to the meridian and 200 m further west behind it. No error; arrays are written right. A zero is no rarity where
# places are rounded: at five digits a longitude of 0.000004 is one.
# For Waybill: its points are objects with latitude and longitude; as such this library takes none of them. Who makes {lat, lng} of
# them makes [lat, lng] instead.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit google-polyline@1.0.3 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >greenwich.cjs <<'JS'
const { encode, decode } = require("google-polyline");

let failed = false;
const expect = (what, points, wanted) => {
  const seen = JSON.stringify(decode(encode(points)));
  console.log(what.padEnd(8), seen);
  failed ||= seen !== JSON.stringify(wanted);
};
const route = [[51.4779, -0.0015], [51.4779, 0], [51.4779, 0.0015], [51.478, 0.003]];
const moved = [[51.4779, -0.0015], [51.4779, -0.0015], [51.4779, -0.0015], [51.478, 0]];
expect("arrays", route, route);
expect("objects", route.map(([lat, lng]) => ({ lat, lng })), moved);
process.exitCode = failed ? 1 : 0;
JS
echo "google-polyline 1.0.3, node $(node --version)"
node greenwich.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
