#!/usr/bin/env bash
# Expected: a decoder of CAN frames by a DBC file has the signals of both byte orders, Intel (@1) and Motorola (@0), as most cars' files mix
# them; of the latter the start bit is the highest one, so 7|16@0+ is the first two bytes, the higher first.
# Guessed: so it is; a number of 64 bits would lose digits.
# Seen (candied 2.2.0): Intel is right, with sign, factor and offset. Motorola is not: 7|16@0+ is NaN, 23|8@0- with -20 in its byte is 1, an
# odometer 39|32@0+ of 65536 is 0. A signal that SIG_VALTYPE_ says to be a float is read as an integer, -12.5 as -1052246016. A factor with
# an exponent, (1E-07,0), as CANdb++ writes that of latitudes, leaves the signal out of its message, with no error. And what is over the
# signal's maximum is cut to it: 0xFFFF for "not available" is 100 %. Nothing is thrown.
# For Waybill: it has no signals of vehicles. What a tracker's gateway makes of them by this library, a tank or an odometer, is right only
# for Intel's integers.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit candied@2.2.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >frames.mjs <<'JS'
import { Can, Dbc } from "candied";

let failed = false;
const expect = (what, signal, bytes, wanted, more = "") => {
  const text = ['VERSION ""', "", "BU_: ECU", "", "BO_ 291 Vehicle: 8 ECU", ` SG_ Value : ${signal} "" ECU`, "", more, ""].join("\n");
  const can = new Can();
  can.database = new Dbc().load(text);
  const decoded = can.decode(can.createFrame(291, [...bytes, 0, 0, 0, 0, 0, 0, 0, 0].slice(0, 8)));
  const seen = String(decoded.boundSignals.get("Value")?.value);
  console.log(what.padEnd(26), signal.padEnd(28), seen);
  failed ||= seen !== wanted;
};
const float = Buffer.alloc(4);
float.writeFloatLE(-12.5);
const latitude = Buffer.alloc(4);
latitude.writeInt32LE(525200000);
expect("Intel, 100 km/h", "0|16@1+ (0.01,0) [0|655.35]", [0x10, 0x27], "100");
expect("Intel, -20 degrees", "16|8@1- (1,0) [-128|127]", [0, 0, 0xec], "-20");
expect("Motorola, 100 km/h", "7|16@0+ (0.01,0) [0|655.35]", [0x27, 0x10], "NaN");
expect("Motorola, -20 degrees", "23|8@0- (1,0) [-128|127]", [0, 0, 0xec], "1");
expect("Motorola, 65536 km", "39|32@0+ (1,0) [0|0]", [0, 0, 0, 0, 0, 1, 0, 0], "0");
expect("float, -12.5", "0|32@1- (1,0) [0|0]", float, "-1052246016", "SIG_VALTYPE_ 291 Value : 1;");
expect("latitude 52.52", "0|32@1- (0.0000001,0) [0|0]", latitude, "52.519999999999996");
expect("latitude 52.52", "0|32@1- (1E-07,0) [0|0]", latitude, "undefined");
expect("tank, not available", "0|16@1+ (0.1,0) [0|100]", [0xff, 0xff], "100");
process.exitCode = failed ? 1 : 0;
JS
echo "candied 2.2.0, node $(node --version)"
node frames.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
