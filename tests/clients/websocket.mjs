// npm's `ws` against a server that says again what it hears: node websocket.mjs URL [CA_FILE]. Prints a line for what went
// well.
import {readFileSync} from 'node:fs';
import {once} from 'node:events';
import WebSocket from 'ws';

const [url, caFile] = process.argv.slice(2);
const options = caFile ? {ca: readFileSync(caFile)} : {};

// What comes is kept until it is asked for: several events may come in one piece.
class Inbox {
  #items = [];
  #waiting = [];
  put(item) {
    this.#waiting.length ? this.#waiting.shift()(item) : this.#items.push(item);
  }
  take() {
    return this.#items.length ? this.#items.shift() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
async function open() {
  const socket = new WebSocket(url, 'echo.v1', options);
  socket.inbox = new Inbox();
  socket.on('message', (data, isBinary) => socket.inbox.put(isBinary ? data : data.toString()));
  socket.ended = new Promise((resolve) => socket.on('close', (code, reason) => resolve(`${code} ${reason}`.trim())));
  await once(socket, 'open');
  return socket;
}
const said = (socket) => socket.inbox.take();
const closed = (socket) => socket.ended;
function expect(got, wanted, what) {
  if (got !== wanted) throw new Error(`${what}: got ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  console.log(`ok ${what}`);
}

let socket = await open();
expect(socket.protocol, 'echo.v1', 'the subprotocol is chosen');
expect(socket.extensions, '', 'no extension is agreed on');
for (const size of [0, 1, 125, 126, 65535, 65536]) {
  socket.send('x'.repeat(size));
  expect(await said(socket), 'x'.repeat(size), `a message of ${size} bytes`);
}
socket.send('€uro ', {fin: false});
socket.ping('between');
const pong = once(socket, 'pong');
socket.send('', {fin: false});
socket.send('🚚', {fin: true});
expect((await pong)[0].toString(), 'between', 'a ping between fragments');
expect(await said(socket), '€uro 🚚', 'a message in fragments');
const truck = Buffer.from('🚚');
for (let i = 0; i < truck.length; ++i) socket.send(truck.subarray(i, i + 1), {binary: false, fin: i + 1 === truck.length});
expect(await said(socket), '🚚', 'a character over four frames');
socket.send(Buffer.alloc(300, 255));
expect(await said(socket), 'binary 300', 'a binary message');
socket.close(3456, 'enough');
expect(await closed(socket), '3456', 'the close handshake, by us');

socket = await open();
socket.send('close 4007 go elsewhere');
expect(await closed(socket), '4007 go elsewhere', 'the close handshake, by the server');

socket = await open();
socket.send(Buffer.from([0xff]), {binary: false});
expect(await closed(socket), '1007', 'bad UTF-8');

socket = await open();
socket.send('x'.repeat(100_001));
expect(await closed(socket), '1009', 'a message that is too big');

socket = await open();
socket.on('error', () => {});
socket._socket.write(Buffer.from([0x81, 0x01, 0x78]));  // not masked
expect(await closed(socket), '1002', 'a frame that is not masked');

socket = await open();
socket._socket.write(Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0x78]));  // a reserved bit
expect(await closed(socket), '1002', 'a reserved bit');

socket = await open();
const pings = [];
socket.on('ping', () => pings.push(1));
while (pings.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
expect(socket.readyState, WebSocket.OPEN, 'pings are answered, and the socket lives');
socket.terminate();

const refused = new WebSocket(url, [], options);
const [error] = await once(refused, 'error');
expect(error.message, 'Unexpected server response: 400', 'no subprotocol');
console.log('done');
