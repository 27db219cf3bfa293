#!/usr/bin/env bash
# Expected: a library for ISO 8583 makes of a request its repeat, and of a request or a repeat the answer, by the standard's message types:
# the last digit is 0 for the acquirer and 1 for its repeat, 2 for the issuer and 3 for its repeat. A repeat of a repeat is the same
# repeat, and both are answered alike: 0200 and 0201 by 0210.
# Guessed: so it is; letters with accents would have a wrong length.
# Seen (iso_8583 2.6.7): accents are refused. toRetransmit() adds one to the last digit of the message it is called on, each time, so the
# second retry of a payment goes out as 0202, a request of the issuer, the third as 0203. Of the reversal 0401, which is a repeat
# already, it makes 0402. toResponse() keeps the last digit: 0201 is answered by 0211, which the acquirer does not wait for, where the same
# library's Tools.getResType says 0210. Nothing is thrown, and the messages pass its own checks.
# For Waybill: it speaks to gateways by HTTP. Who stands between it and a switch that speaks ISO 8583 sets field 0 by hand for retries and
# answers.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit iso_8583@2.6.7 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >types.cjs <<'JS'
const Iso8583 = require("iso_8583");
const { getResType } = require("iso_8583/lib/tools");

let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(36), seen);
  failed ||= wanted !== seen;
};
const message = (type) => new Iso8583({ 0: type, 2: "4111111111111111", 3: "000000", 4: "000000001250", 7: "1127093000", 11: "000001",
  12: "093000", 13: "1127", 22: "051", 25: "00", 37: "000000000001", 41: "TERM0001", 42: "MERCHANT0000001", 49: "978" });
const payment = message("0200");
expect("0200 sent again, three times", "0201 0202 0203", [1, 2, 3].map(() => payment.toRetransmit()[0]).join(" "));
expect("  and written so", "0203", payment.getBufferMessage().toString("latin1").slice(2, 6));
expect("0401 sent again", "0402", message("0401").toRetransmit()[0]);
expect("0200 and 0201 answered", "0210 0211", `${message("0200").toResponse()[0]} ${message("0201").toResponse()[0]}`);
expect("  by getResType", "0210 0210", `${getResType("0200")} ${getResType("0201")}`);
process.exitCode = failed ? 1 : 0;
JS
echo "iso_8583 2.6.7, node $(node --version)"
node types.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
