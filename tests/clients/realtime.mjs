// Follows an order by npm's `ws`, as docs/realtime.md says, until nothing more will happen to it, and comes back whenever
// it is cut off: node realtime.mjs URL TOKEN ORDER_ID. Prints a line for what it is told.
import WebSocket from 'ws';

const [url, token, order] = process.argv.slice(2);
const channel = `order:${order}`;
let position = {};  // of the last event: epoch and offset

function connect() {
  const socket = new WebSocket(url, ['waybill.v1.json', `waybill.token.${token}`]);
  socket.on('error', () => {});  // the close event follows
  socket.on('open', () => socket.send(JSON.stringify({type: 'subscribe', channel, ...position})));
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    switch (message.type) {
      case 'subscribed':
        console.log(`subscribed offset=${message.offset} recovered=${message.recovered}`);
        break;
      case 'event':
        console.log(`event ${message.offset} ${message.event.status}`);
        position = {epoch: message.epoch, offset: message.offset};
        break;
      case 'error':
        console.log(`error ${message.reason}`);
        if (!message.retry) socket.close(1000);
        break;
      case 'ended':
        console.log('ended');
        socket.close(1000);
        break;
    }
  });
  socket.on('close', (code) => {
    console.log(`closed ${code}`);
    // 4400 is a bug of ours, 4401 asks for a fresh token, and 4403 will be said again.
    if (![1000, 4400, 4401, 4403].includes(code)) setTimeout(connect, 50 + Math.random() * 100);
  });
}
connect();
