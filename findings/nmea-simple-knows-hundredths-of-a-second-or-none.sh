#!/usr/bin/env bash
# Expected: the time of an RMC sentence, hhmmss and then a fraction of as many digits as the receiver has, is read with its fraction, as
# that of GGA is by the same package.
# Seen (nmea-simple 3.3.0, the newest): of RMC, the one sentence that has date, place and speed, the fraction is read when it has
# exactly two digits. With three, as many a chipset writes it, or with one it is dropped: five fixes a second have one time, and a
# fix is up to a second older than it was. GGA of the same instant keeps it, so the two no longer belong together. gps 0.9.0 reads
# every form.
# For Waybill: history keeps one position for a driver and a time (driver_locations_once) and counts the others as sent again. A bridge
# that streams 5 Hz with nmea-simple so has one fix in five stored, and all are acknowledged.
# Needs: node and npm, which installs both packages into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit nmea-simple@3.3.0 gps@0.9.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >fractions.mjs <<'JS'
import GPS from "gps";
import { parseNmeaSentence } from "nmea-simple";

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(46), seen);
  failed ||= wanted !== seen;
};
const sentence = (body) => {
  const sum = [...body].reduce((bits, letter) => bits ^ letter.charCodeAt(0), 0);
  return `$${body}*${sum.toString(16).toUpperCase().padStart(2, "0")}`;
};
const rmc = (time) => sentence(`GPRMC,${time},A,5231.2000,N,01324.3000,E,10.0,084.4,271126,,,A`);
const gga = (time) => sentence(`GPGGA,${time},5231.2000,N,01324.3000,E,1,08,0.9,34.0,M,46.9,M,,`);
const clock = (date) => date.toISOString().slice(17, 23);
const fiveOf = (digits) => [0, 0.2, 0.4, 0.6, 0.8].map((second) => "10152" + (7 + second).toFixed(digits));
const simple = (times) => times.map((time) => clock(parseNmeaSentence(rmc(time)).datetime)).join(" ");
const other = (times) => times.map((time) => clock(GPS.Parse(rmc(time)).time)).join(" ");

const all = "27.000 27.200 27.400 27.600 27.800";
expect("nmea-simple, RMC, 101527.20", all, simple(fiveOf(2)));
expect("nmea-simple, RMC, 101527.200", "27.000 27.000 27.000 27.000 27.000", simple(fiveOf(3)));
expect("nmea-simple, RMC, 101527.2", "27.000 27.000 27.000 27.000 27.000", simple(fiveOf(1)));
expect("nmea-simple, GGA, 101527.200", "27.200", clock(parseNmeaSentence(gga("101527.200")).time));
expect("gps, RMC, 101527.200", all, other(fiveOf(3)));
expect("gps, RMC, 101527.2", all, other(fiveOf(1)));
process.exitCode = failed ? 1 : 0;
JS
echo "nmea-simple 3.3.0, gps 0.9.0, node $(node --version)"
node fractions.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
