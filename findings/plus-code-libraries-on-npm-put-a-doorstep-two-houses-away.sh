#!/usr/bin/env bash
# Expected: the cell of a plus code (Open Location Code) has the place in it that it was made of, at ten digits and at eleven, which is
# what tells doorsteps apart; three libraries make the same code.
# Guessed: they differ at the poles only.
# Seen (open-location-code 1.0.3, Google's own on npm, and pluscodes 3.0.1): on the edge of a ten-digit cell, an eighth of a thousandth
# of a degree, binary fractions put some places into the cell beside it, and then the digits after the tenth are those of
# the right one: the code names the far end of the wrong cell. With places of six decimals that is one in 360 of
# open-location-code's codes and one in 170 of pluscodes', 11 metres from the place; with eleven digits a cell is 3 metres.
# open-location-code-typescript 1.5.0 counts in integers and is right.
# For Waybill: it gives places as latitude and longitude. Who makes plus codes of them for couriers takes the third.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit open-location-code@1.0.3 pluscodes@3.0.1 open-location-code-typescript@1.5.0 \
  >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >doorsteps.cjs <<'JS'
const { OpenLocationCode } = require("open-location-code");
const exact = require("open-location-code-typescript").default;
const pluscodes = require("pluscodes");

const google = new OpenLocationCode();
const encoders = {
  "open-location-code": (latitude, longitude, digits) => google.encode(latitude, longitude, digits),
  pluscodes: (latitude, longitude, digits) => pluscodes.encode({ latitude, longitude }, digits),
  "open-location-code-typescript": (latitude, longitude, digits) => exact.encode(latitude, longitude, digits),
};
let failed = false;
const check = (what, wanted, seen) => {
  console.log(what.padEnd(44), seen);
  failed ||= wanted !== seen;
};
const outside = (low, high, value) => Math.max(low - value, value - high, 0) * 111320;
const metres = (code, latitude, longitude) => {
  const cell = exact.decode(code);
  const east = outside(cell.longitudeLo, cell.longitudeHi, longitude) * Math.cos((latitude * Math.PI) / 180);
  return Math.hypot(outside(cell.latitudeLo, cell.latitudeHi, latitude), east);
};

check("35.701875 45.926542, open-location-code", "8H77PW2G+QJV", encoders["open-location-code"](35.701875, 45.926542, 11));
check("35.701875 45.926542, by integers", "8H77PW2G+QJ3", exact.encode(35.701875, 45.926542, 11));
check("57.3115 -39.303933, pluscodes", "99928M6W+HC4", encoders.pluscodes(57.3115, -39.303933, 11));
check("57.3115 -39.303933, by integers", "99928M6W+JC4", exact.encode(57.3115, -39.303933, 11));

// The same 20000 places between 60° south and north each time, to the sixth decimal.
let seed = 1;
const below = (limit) => {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return Math.floor((seed / 2147483648) * limit);
};
const places = Array.from({ length: 20000 }, () => [(below(120e6) - 60e6) / 1e6, (below(360e6) - 180e6) / 1e6]);
const wanted = { "open-location-code": "55, by 11.1 m", pluscodes: "118, by 11.1 m", "open-location-code-typescript": "0, by 0.0 m" };
for (const [name, encode] of Object.entries(encoders)) {
  const far = places.map(([latitude, longitude]) => metres(encode(latitude, longitude, 11), latitude, longitude));
  const off = far.filter((distance) => distance > 0.5);
  check(`of 20000 outside, ${name}`, wanted[name], `${off.length}, by ${Math.max(0, ...off).toFixed(1)} m`);
}
process.exitCode = failed ? 1 : 0;
JS
echo "open-location-code 1.0.3, pluscodes 3.0.1, open-location-code-typescript 1.5.0, node $(node --version)"
node doorsteps.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
