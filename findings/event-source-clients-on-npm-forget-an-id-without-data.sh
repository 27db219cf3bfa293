#!/usr/bin/env bash
# Expected: a server of events moves its clients' place on by an event of an id alone, "id: 900" and a blank line: nothing is dispatched,
# but Last-Event-ID is 900 from then on (HTML, "server-sent events"). So who listens to the little that concerns them need
# not be sent all the rest once more after a cut.
# Guessed: so it is in all clients.
# Seen (launchdarkly-eventsource 2.2.0, eventsource-client 1.2.0, event-source-polyfill 1.0.31, and eventsource 4.1.1, the last that takes
# Node.js 20): such an id is forgotten; they ask from the last event that had data. What the server no longer keeps is then
# reported as lost though nothing is, or read again in full at each new connection. undici 7.30.2 asks from it. And the polyfill says
# the place in the query (lastEventId=), as its readme tells, and in no header.
# For Waybill: its realtime service speaks WebSocket and says the place in messages of its own. Who passes them on as server-sent
# events gives each checkpoint an event and some data, and reads the query as well as the header.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit launchdarkly-eventsource@2.2.0 eventsource-client@1.2.0 eventsource@4.1.1 \
  undici@7.30.2 event-source-polyfill@1.0.31 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >checkpoint.mjs <<'JS'
import http from "node:http";
import { once } from "node:events";
import polyfill from "event-source-polyfill";
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";
import launchdarkly from "launchdarkly-eventsource";
import { EventSource as Undici } from "undici";

const withSource = (make) => (url, onmessage) => Object.assign(make(url), { onmessage, onerror() {} });
const clients = {
  undici: withSource((url) => new Undici(url)),
  "launchdarkly-eventsource": withSource((url) => new launchdarkly.EventSource(url, { initialRetryDelayMillis: 20 })),
  "eventsource-client": (url, onMessage) => createEventSource({ url, onMessage }),
  eventsource: withSource((url) => new EventSource(url)),
  "event-source-polyfill": withSource((url) => new polyfill.EventSourcePolyfill(url)),
};
let failed = false;
const expect = async (name, wanted) => {
  const asked = [];
  let again;
  const asksAgain = new Promise((resolve) => { again = resolve; });
  const server = http.createServer((request, response) => {
    asked.push(`${request.headers["last-event-id"] ?? "nothing"} by header, ${request.url} by path`);
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (asked.length > 1) return again();
    response.write("retry: 20\nid: 1\ndata: paid\n\nid: 900\n\n");
    setTimeout(() => response.end(), 50);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const got = [];
  const client = clients[name](`http://127.0.0.1:${server.address().port}/`, ({ data }) => got.push(data));
  await asksAgain;
  client.close();
  server.closeAllConnections();
  server.close();
  const seen = `got ${got.join(", ")}, asks from ${asked[1]}`;
  console.log(name.padEnd(26), seen);
  failed ||= seen !== `got paid, asks from ${wanted}`;
};
for (const log of ["error", "warn", "info"]) console[log] = () => {};
await expect("undici", "900 by header, / by path");
await expect("launchdarkly-eventsource", "1 by header, / by path");
await expect("eventsource-client", "1 by header, / by path");
await expect("eventsource", "1 by header, / by path");
await expect("event-source-polyfill", "nothing by header, /?lastEventId=1 by path");
process.exit(failed ? 1 : 0);
JS
echo "launchdarkly-eventsource 2.2.0, eventsource-client 1.2.0, eventsource 4.1.1, undici 7.30.2, event-source-polyfill 1.0.31," \
  "node $(node --version)"
node checkpoint.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
