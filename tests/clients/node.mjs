// Stock Connect clients of Node against waybill-order: node node.mjs BASE_URL DESCRIPTOR_SET
import {readFileSync} from 'node:fs';
import {createConnectTransport} from '@connectrpc/connect-node';
import {registryOf, run} from './scenarios.mjs';

const [baseUrl, descriptors] = process.argv.slice(2);
const registry = registryOf(readFileSync(descriptors));
const transports = {
  'node-proto': {},
  'node-json': {useBinaryFormat: false},
  'node-get': {useHttpGet: true},
  'node-json-get': {useBinaryFormat: false, useHttpGet: true},
  'node-no-gzip': {acceptCompression: []},
};
const {compressionGzip} = await import('@connectrpc/connect-node');
transports['node-gzip'] = {sendCompression: compressionGzip, compressMinBytes: 1};
for (const [label, options] of Object.entries(transports)) {
  const transport = createConnectTransport({baseUrl, httpVersion: '1.1', ...options});
  for (const line of await run(registry, transport, label)) console.log(line);
}
