// Stock Connect clients of a page in headless Chromium against waybill-order, which is of another origin than the page:
//   node browser.mjs BASE_URL DESCRIPTOR_SET PORT PROFILE_FOLDER
// The page is served on PORT, and tells what it found; a page of an origin that may not call has to be refused.
import {spawn} from 'node:child_process';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {dirname, extname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';

const [baseUrl, descriptors, port, profile] = process.argv.slice(2);
const folder = dirname(fileURLToPath(import.meta.url));
const modules = '/node_modules/';
const imports = {
  '@connectrpc/connect': `${modules}@connectrpc/connect/dist/esm/index.js`,
  '@connectrpc/connect/': `${modules}@connectrpc/connect/dist/esm/`,
  '@connectrpc/connect/protocol': `${modules}@connectrpc/connect/dist/esm/protocol/index.js`,
  '@connectrpc/connect/protocol-connect': `${modules}@connectrpc/connect/dist/esm/protocol-connect/index.js`,
  '@connectrpc/connect/protocol-grpc-web': `${modules}@connectrpc/connect/dist/esm/protocol-grpc-web/index.js`,
  '@connectrpc/connect-web': `${modules}@connectrpc/connect-web/dist/esm/index.js`,
  '@bufbuild/protobuf': `${modules}@bufbuild/protobuf/dist/esm/index.js`,
  '@bufbuild/protobuf/wkt': `${modules}@bufbuild/protobuf/dist/esm/wkt/index.js`,
  '@bufbuild/protobuf/wire': `${modules}@bufbuild/protobuf/dist/esm/wire/index.js`,
  '@bufbuild/protobuf/reflect': `${modules}@bufbuild/protobuf/dist/esm/reflect/index.js`,
  '@bufbuild/protobuf/codegenv1': `${modules}@bufbuild/protobuf/dist/esm/codegenv1/index.js`,
  '@bufbuild/protobuf/codegenv2': `${modules}@bufbuild/protobuf/dist/esm/codegenv2/index.js`,
};
const page = `<!doctype html><meta charset="utf-8"><title>Connect</title>
<script type="importmap">${JSON.stringify({imports})}</script>
<script type="module">
  const tell = (what) => fetch('/told', {method: 'POST', body: JSON.stringify(what)});
  try {
    const {createConnectTransport} = await import('@connectrpc/connect-web');
    const {registryOf, run} = await import('/scenarios.mjs');
    const registry = registryOf(new Uint8Array(await (await fetch('/descriptors')).arrayBuffer()));
    const done = [];
    for (const [label, options] of Object.entries({json: {}, proto: {useBinaryFormat: true}, get: {useHttpGet: true}})) {
      const transport = createConnectTransport({baseUrl: ${JSON.stringify(baseUrl)}, ...options});
      done.push(...await run(registry, transport, 'browser-' + label));
    }
    await tell({done});
  } catch (error) {
    await tell({failed: String(error && error.stack || error)});
  }
</script>`;

const server = createServer(async (request, response) => {
  const answer = (type, body) => response.writeHead(200, {'content-type': type}).end(body);
  try {
    if (request.method === 'POST' && request.url === '/told') {
      let body = '';
      for await (const chunk of request) body += chunk;
      answer('text/plain', '');
      finish(JSON.parse(body));
    } else if (request.url === '/') {
      answer('text/html; charset=utf-8', page);
    } else if (request.url === '/descriptors') {
      answer('application/octet-stream', await readFile(descriptors));
    } else {
      const path = normalize(join(folder, new URL(request.url, 'http://x').pathname));
      if (!path.startsWith(folder) || !['.js', '.mjs'].includes(extname(path))) throw new Error('not here');
      answer('text/javascript', await readFile(path));
    }
  } catch {
    response.writeHead(404).end();
  }
});
let finish;
const told = new Promise((resolve) => (finish = resolve));
await new Promise((resolve) => server.listen(Number(port), '127.0.0.1', resolve));
const browser = spawn('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', `--user-data-dir=${profile}`,
  `http://127.0.0.1:${port}/`], {stdio: ['ignore', 'ignore', 'pipe']});
let complaints = '';
browser.stderr.on('data', (data) => (complaints += data));
browser.on('exit', (code) => finish({failed: `the browser ended with ${code}: ${complaints.slice(-2000)}`}));
const result = await told;
browser.removeAllListeners('exit');
const gone = new Promise((resolve) => browser.on('exit', resolve));
browser.kill('SIGTERM');
await gone;
server.close();
server.closeAllConnections();
if (result.failed) {
  console.error(result.failed);
  process.exitCode = 1;
} else {
  for (const line of result.done) console.log(line);
}
