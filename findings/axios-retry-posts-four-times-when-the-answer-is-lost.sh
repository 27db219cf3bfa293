#!/usr/bin/env bash
# Expected: a client that retries by itself sends again what may be sent twice: GET and PUT, and a POST only where it is told so.
# Guessed: of the common clients for Node.js only superagent's .retry() sends a POST again.
# Seen: where the server has done the work and the connection breaks before its answer, axios-retry 4.5.0 sends a POST three times more, by
# default. Its readme says "a network error or a 5xx error on an idempotent request": the last four words do not belong to the network
# error. fetch-retry 6.0.0 and superagent 10.4.2 do so, too, superagent also after a 500. retry-axios 4.0.3, got 14.6.6, ky 1.14.3,
# ofetch 1.5.1 and undici's RetryAgent 7.30.2 send it once. After a 503 axios-retry sends a PUT again and a POST not.
# For Waybill: each call that moves money has an idempotency key, so that it is carried out once, however often it comes
# (docs/life-of-an-order.md). A key that is made anew within each try, as in an interceptor of axios, takes that away.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit axios@1.21.1 axios-retry@4.5.0 fetch-retry@6.0.0 superagent@10.4.2 retry-axios@4.0.3 \
  got@14.6.6 ky@1.14.3 ofetch@1.5.1 undici@7.30.2 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >pay.mjs <<'JS'
import http from "node:http";
import { once } from "node:events";
import axios from "axios";
import axiosRetry from "axios-retry";
import fetchRetry from "fetch-retry";
import got from "got";
import ky from "ky";
import { ofetch } from "ofetch";
import * as rax from "retry-axios";
import superagent from "superagent";
import { Agent, RetryAgent, request } from "undici";

let failed = false;
const brief = { limit: 2, backoffLimit: 10 };
const clients = {
  "axios-retry": async (url, method, body) => {
    const client = axios.create();
    axiosRetry(client);
    await client.request({ url, method, data: body });
  },
  "fetch-retry": (url, method, body) => fetchRetry(fetch, { retryDelay: 5 })(url, { method, body }),
  superagent: (url, method, body) => superagent(method, url).send(body).retry(3),
  "retry-axios": async (url, method, body) => {
    const client = axios.create();
    client.defaults.raxConfig = { instance: client, retryDelay: 5, backoffType: "static" };
    rax.attach(client);
    await client.request({ url, method, data: body });
  },
  got: (url, method, body) => got(url, { method, body, retry: brief }),
  ky: (url, method, body) => ky(url, { method, body, retry: brief }),
  ofetch: (url, method, body) => ofetch(url, { method, body }),
  "undici RetryAgent": (url, method, body) => request(url, { method, body, dispatcher: new RetryAgent(new Agent(), { minTimeout: 5, maxRetries: 3 }) }),
};
const times = async (client, method, answer) => {
  let done = 0;
  const server = http.createServer((incoming, outgoing) => {
    incoming.resume().on("end", () => {
      done += 1; // here the money has moved
      if (!answer) return incoming.socket.destroy();
      outgoing.writeHead(answer).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await Promise.resolve(client(`http://127.0.0.1:${server.address().port}/payments`, method, "{}")).catch(() => {});
  server.closeAllConnections();
  server.close();
  return done;
};
const wanted = {
  "axios-retry": "4 4 1 1", "fetch-retry": "4 4 1 1", superagent: "4 4 4 4", "retry-axios": "1 4 1 1", got: "1 3 1 1", ky: "1 3 1 1",
  ofetch: "1 1 1 1", "undici RetryAgent": "1 4 1 1",
};
console.log("client             POST and PUT, cut; POST answered 503 and 500: how often the server did it");
for (const [name, client] of Object.entries(clients)) {
  const seen = [];
  for (const [method, answer] of [["POST"], ["PUT"], ["POST", 503], ["POST", 500]]) seen.push(await times(client, method, answer));
  console.log(name.padEnd(18), seen.join(" "));
  failed ||= seen.join(" ") !== wanted[name];
}
process.exit(failed ? 1 : 0);
JS
echo "node $(node --version)"
node pay.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
