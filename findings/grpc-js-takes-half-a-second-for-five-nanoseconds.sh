#!/usr/bin/env bash
# Expected: "timeout": "1.5s" of a method in a gRPC service config, proto3's JSON of a Duration, is a second and a half in every client.
# Guessed: so it is.
# Seen (@grpc/grpc-js 1.14.7, 100 million downloads a month): what stands behind the point is taken for nanoseconds, however many digits it
# has. "1.5s" is one second and five nanoseconds, "1.9s" one second; "0.5s" is five nanoseconds, and every call ends at once with
# DEADLINE_EXCEEDED, before it was sent. With nine digits, "0.500000000s", or with none it is right, and so is
# { seconds: 0, nanos: 500000000 }. The backoffs of retryPolicy in the same config are read rightly, so that nothing looks wrong in it.
# For Waybill: it names no service config; who gives its clients one for Node.js writes whole seconds, or nine digits, and a deadline of
# each call counts besides.
# Needs: node and npm, which installs it into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit @grpc/grpc-js@1.14.7 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >timeouts.cjs <<'JS'
const grpc = require("@grpc/grpc-js");
const { setTimeout: sleep } = require("node:timers/promises");

const text = { serialize: (value) => Buffer.from(value), deserialize: (bytes) => bytes.toString() };
const service = {
  Wait: { path: "/test.Waiter/Wait", requestStream: false, responseStream: false, requestSerialize: text.serialize,
    requestDeserialize: text.deserialize, responseSerialize: text.serialize, responseDeserialize: text.deserialize },
};
const Client = grpc.makeGenericClientConstructor(service, "Waiter");
let failed = false;
(async () => {
  let asked = 0;
  const server = new grpc.Server();
  server.addService(service, {
    Wait: async (_, answer) => {
      asked++;
      await sleep(3000);
      answer(null, "done");
    },
  });
  const port = await new Promise((bound, refused) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, at) => (error ? refused(error) : bound(at))));
  const expect = async (timeout, wantedTenths) => {
    const config = { loadBalancingConfig: [], methodConfig: [{ name: [{ service: "test.Waiter" }], timeout }] };
    const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { "grpc.service_config": JSON.stringify(config) });
    await new Promise((ready) => client.waitForReady(Date.now() + 5000, ready));
    const begin = performance.now();
    const { code } = await new Promise((ended) => client.Wait("now", (error) => ended(error ?? { code: 0 })));
    const tenths = Math.round((performance.now() - begin) / 100);
    client.close();
    console.log(JSON.stringify(timeout).padEnd(32), grpc.status[code], `after ${tenths / 10} s`);
    failed ||= code !== grpc.status.DEADLINE_EXCEEDED || tenths < wantedTenths || tenths > wantedTenths + 2;
  };
  await expect("1s", 10);
  await expect("1.5s", 10);
  await expect("1.9s", 10);
  await expect("1.500000000s", 15);
  const before = asked;
  await expect("0.5s", 0);
  console.log("  asked of the server".padEnd(32), asked - before, "times");
  await expect("0.500000000s", 5);
  await expect({ seconds: 0, nanos: 500000000 }, 5);
  server.forceShutdown();
  process.exit(failed ? 1 : 0);
})();
JS
echo "@grpc/grpc-js 1.14.7, node $(node --version)"
node timeouts.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
