#!/usr/bin/env bash
# Expected: a histogram's boundaries are put in order and each is taken once, or refused where they are not, as Go's client does.
# Guessed: prom-client sorts them.
# Seen (prom-client 15.1.3): neither. They are taken as they stand: in [...linearBuckets(1, 1, 3), 0.25], as one puts a boundary of one's own
# to those of the library, le="0.25" has three observations, though none was that small, as what is counted in one is counted in all
# behind it. A boundary named twice counts what lies in it twice, from there on: le="10" has 6 of 5 observations, more than le="+Inf".
# Prometheus puts buckets in order by itself and makes quantiles of them, so nothing shows it but the figures.
# For Waybill: its own histograms have their boundaries in one list, in order. Alerts on what a client's service says by prom-client are as
# right as its list.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit prom-client@15.1.3 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >buckets.cjs <<'JS'
const { Histogram, linearBuckets } = require("prom-client");

let failed = false;
const observe = async (buckets, wanted) => {
  const histogram = new Histogram({ name: "km", help: "km", buckets, registers: [] });
  for (const value of [0.7, 0.7, 1.5, 5, 20]) histogram.observe(value);
  const { values } = await histogram.get();
  const seen = values.filter(({ metricName }) => metricName === "km_bucket").map(({ labels, value }) => `${labels.le}:${value}`).join(" ");
  console.log(JSON.stringify(buckets).padEnd(16), seen);
  failed ||= seen !== wanted;
};
(async () => {
  console.log("observed 0.7 0.7 1.5 5 20");
  await observe([0.25, 1, 2, 3], "0.25:0 1:2 2:3 3:3 +Inf:5");
  await observe([...linearBuckets(1, 1, 3), 0.25], "1:2 2:3 3:3 0.25:3 +Inf:5");
  await observe([0.5, 1, 1, 10], "0.5:0 1:2 1:4 10:6 +Inf:5");
  process.exitCode = failed ? 1 : 0;
})();
JS
echo "prom-client 15.1.3, node $(node --version)"
node buckets.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
