#!/usr/bin/env bash
# Expected: a limiter whose queue has a length beyond which it sheds load (highWater and a strategy) sheds it, whichever of its limits made
# the jobs wait.
# Guessed: so it is.
# Seen (bottleneck 2.19.5, 35 million downloads a month): with minTime, as one sets for a gateway that takes so many calls a second, nothing
# is ever shed. Of a hundred jobs, 20 ms apart, with highWater 5, all run, the last after two seconds, and queued() is 0 all the while: what
# only waits for its time is not in the queue, but "running". So it is with LEAK, OVERFLOW and BLOCK. With maxConcurrent, or both, most
# are shed. The readme says so only where it lists the states of a job. A burst of an hour's calls waits for an hour, and who asked has
# long gone.
# For Waybill: its own rate limits refuse at once (RESOURCE_EXHAUSTED). Who keeps to them by this library sets maxConcurrent besides
# minTime, and an expiration.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit bottleneck@2.19.5 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >shed.cjs <<'JS'
const Bottleneck = require("bottleneck");
const { setTimeout: sleep } = require("node:timers/promises");

const offer = async (limits, strategy) => {
  const limiter = new Bottleneck({ ...limits, highWater: 5, strategy: Bottleneck.strategy[strategy] });
  let run = 0;
  let shed = 0;
  let waiting = 0;
  const jobs = Array.from({ length: 100 }, () =>
    limiter.schedule(async () => {
      run++;
      waiting = Math.max(waiting, limiter.queued());
      await sleep(20);
    }).catch(() => shed++));
  const begin = Date.now();
  await Promise.race([Promise.all(jobs), sleep(10000)]);
  const seconds = (Date.now() - begin) / 1000;
  await limiter.disconnect();
  console.log(`${JSON.stringify(limits)} ${strategy}`.padEnd(42), `${run} run, ${shed} shed, ${seconds.toFixed(1)} s`);
  return { run, shed, seconds };
};
(async () => {
  let failed = false;
  for (const strategy of ["LEAK", "OVERFLOW"]) {
    const paced = await offer({ minTime: 20 }, strategy);
    failed ||= paced.run !== 100 || paced.shed !== 0 || paced.seconds < 1.9;
    const few = await offer({ maxConcurrent: 1 }, strategy);
    failed ||= few.shed < 10 || few.run + few.shed !== 100;
    const both = await offer({ minTime: 20, maxConcurrent: 1 }, strategy);
    failed ||= both.shed < 10 || both.run + both.shed !== 100;
  }
  process.exit(failed ? 1 : 0);
})();
JS
echo "bottleneck 2.19.5, node $(node --version)"
node shed.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
