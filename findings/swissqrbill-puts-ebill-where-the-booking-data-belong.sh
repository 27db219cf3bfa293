#!/usr/bin/env bash
# Expected: the lines of a Swiss QR code mean what they are by their number: behind "EPD" one with the biller's data for booking, then up to
# two for alternative procedures such as eBill. Where one is not used and another follows, its line is empty.
# Guessed: so it is; amounts would be cut or rounded.
# Seen (swissqrbill 4.4.1): a line that is not given is left out. A bill with av1 alone has the text of the procedure in the place of the
# booking data; with additionalInformation it stands where it belongs. So the code of a bill that one can pay by eBill does not say so, and
# the payer's accounting gets "eBill/B/..." to book by. Nothing is thrown, the payment is right, and the printed text shows the procedure as
# it should.
# For Waybill: it has no bills. Who makes them of its orders gives an additionalInformation, " " at least, whenever there is an av1.
# Needs: node and npm, which installs it and a reader of QR codes into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit swissqrbill@4.4.1 jsqr@1.4.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >bill.mjs <<'JS'
import jsQR from "jsqr";
import { SwissQRCode } from "swissqrbill/svg";

let failed = false;
// Draws the black squares of the SVG, four dots a module, and reads the code; the Swiss cross in the middle is left to error correction.
const lines = (more) => {
  const creditor = { name: "Muster AG", address: "Hauptstrasse", buildingNumber: 7, zip: 2501, city: "Biel", country: "CH",
    account: "CH5604835012345678009" };
  const svg = new SwissQRCode({ currency: "CHF", amount: 1949.75, creditor, ...more }, 46).toString();
  const squares = [...svg.matchAll(/<rect x="([\d.]+)mm" y="([\d.]+)mm" width="([\d.]+)mm"/g)].map((found) => found.slice(1, 4).map(Number));
  const module = squares[0][2];
  const size = (Math.round(46 / module) + 8) * 4;
  const dots = new Uint8ClampedArray(size * size * 4).fill(255);
  for (const [x, y] of squares.filter(([, , width]) => width === module)) {
    for (let dot = 0; dot < 16; dot++) {
      const column = (Math.round(x / module) + 4) * 4 + (dot % 4);
      const row = (Math.round(y / module) + 4) * 4 + (dot >> 2);
      dots.fill(0, (row * size + column) * 4, (row * size + column) * 4 + 3);
    }
  }
  return jsQR(dots, size, size).data.split("\n");
};
const expect = (what, wanted, more) => {
  const all = lines(more);
  const seen = JSON.stringify(all.slice(all.indexOf("EPD")));
  console.log(what.padEnd(28), seen);
  failed ||= seen !== wanted;
};
const av1 = "eBill/B/pia@example.com";
expect("av1", '["EPD","eBill/B/pia@example.com"]', { av1 });
expect("booking data", '["EPD","//S1/10/X4711"]', { additionalInformation: "//S1/10/X4711" });
expect("both", '["EPD","//S1/10/X4711","eBill/B/pia@example.com"]', { av1, additionalInformation: "//S1/10/X4711" });
expect("av1 and a blank", '["EPD"," ","eBill/B/pia@example.com"]', { av1, additionalInformation: " " });
process.exitCode = failed ? 1 : 0;
JS
echo "swissqrbill 4.4.1, jsqr 1.4.0, node $(node --version)"
node bill.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
