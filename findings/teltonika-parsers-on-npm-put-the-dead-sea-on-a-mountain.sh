#!/usr/bin/env bash
# Expected: what a Teltonika tracker says in Codec 8 is read by its signs: longitude, latitude, altitude and temperatures can be below
# zero, speeds and angles can not; the eight bytes of an iButton, which say who drives, are a number of 64 bits or text.
# Guessed: one of two parsers has a coordinate's sign wrong.
# Seen (complete-teltonika-parser 0.3.4 and teltonika-parser 0.0.15): coordinates are right in both. The former has everything else without
# a sign: on the Dead Sea's shore, 430 metres below the sea, it is at 65106, and a cooler at -10.0 degrees, -100 in tenths, has
# 4294967196. It gives the iButton as a text of all its digits. The latter has altitude and temperature right and reads the eight bytes as
# a floating-point number: 01A1B2C3D4E5F67B is 8.258590054665636e-301. Values of two bytes it takes all for signed: the 33000 mV of
# a lorry's dynamo are -32536. Nothing is thrown.
# For Waybill: its positions have no altitude; what a tracker's gateway hands over as a driver has to be the driver's id. Who makes that
# of an iButton reads those bytes from the packet itself.
# Needs: node and npm, which installs both into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit complete-teltonika-parser@0.3.4 teltonika-parser@0.0.15 \
  >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >packet.cjs <<'JS'
const { ProtocolParser } = require("complete-teltonika-parser");
const TeltonikaParser = require("teltonika-parser");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(12), String(seen));
  failed ||= wanted !== String(seen);
};
// Codec 8: one record, then elements of one, two, four and eight bytes; CRC-16/ARC at the end.
const record = Buffer.alloc(24);
record.writeBigUInt64BE(1790000000000n, 0);
record.writeInt32BE(-706693000, 9);
record.writeInt32BE(315000000, 13);
record.writeInt16BE(-430, 17);
record.writeUInt16BE(350, 19);
record[21] = 9;
record.writeUInt16BE(60, 22);
const elements = Buffer.from("4e04" + "011503" + "014280e8" + "0148ffffff9c" + "014e01a1b2c3d4e5f67b", "hex");
const data = Buffer.concat([Buffer.from([8, 1]), record, elements, Buffer.from([1])]);
let crc = 0;
for (const byte of data) {
  crc ^= byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
}
const packet = Buffer.alloc(8 + data.length + 4);
packet.writeUInt32BE(data.length, 4);
data.copy(packet, 8);
packet.writeUInt32BE(crc, 8 + data.length);

const [{ GPSelement: gps, IOelement: io }] = new ProtocolParser(packet.toString("hex")).Content.AVL_Datas;
console.log("sent: longitude -70.6693, altitude -430, voltage 33000, temperature -100 tenths, iButton", 0x01a1b2c3d4e5f67bn.toString());
console.log("complete-teltonika-parser");
expect("longitude", "-70.6693", gps.Longitude);
expect("altitude", "65106", gps.Altitude);
expect("voltage", "33000", io.Elements[66]);
expect("temperature", "4294967196", io.Elements[72]);
expect("iButton", "117571619448551035", io.Elements[78]);
const [{ gps: place, ioElements }] = new TeltonikaParser(packet).getAvl().records;
const element = (wanted) => ioElements.find(({ id }) => id === wanted).value;
console.log("teltonika-parser");
expect("longitude", "-70.6693", place.longitude);
expect("altitude", "-430", place.altitude);
expect("voltage", "-32536", element(66));
expect("temperature", "-100", element(72));
expect("iButton", "8.258590054665636e-301", element(78));
process.exitCode = failed ? 1 : 0;
JS
echo "complete-teltonika-parser 0.3.4, teltonika-parser 0.0.15, node $(node --version)"
node packet.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
