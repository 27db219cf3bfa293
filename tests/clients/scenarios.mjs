// What a stock client does with waybill-order, whatever its transport: the same in Node and in a browser's page.
import {Code, ConnectError, createClient} from '@connectrpc/connect';
import {createFileRegistry, fromBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';

function expect(what, actual, wanted) {
  const text = (value) => JSON.stringify(value, (key, v) => (typeof v === 'bigint' ? `${v}n` : v));
  if (text(actual) !== text(wanted)) throw new Error(`${what} is ${text(actual)}, not ${text(wanted)}`);
}

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error('the call succeeded');
}

export function registryOf(descriptors) {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
}

// `label` keeps the keys of several transports apart.
export async function run(registry, transport, label) {
  const orders = createClient(registry.getService('waybill.order.v1.OrderService'), transport);
  const health = createClient(registry.getService('grpc.health.v1.Health'), transport);
  const done = [];
  const scenario = async (name, body) => {
    try {
      await body();
    } catch (error) {
      throw new Error(`${label}: ${name}: ${error.message}`);
    }
    done.push(`${label}: ${name}`);
  };
  const request = {
    idempotencyKey: `${label}-1`,
    userId: 'u-1',
    amount: {minorUnits: 9_007_199_254n, currency: 'EUR'},
    metadata: {note: 'Grüße'},
  };
  let order;

  await scenario('an order is created', async () => {
    order = await orders.createOrder(request);
    expect('the amount', order.amount.minorUnits, 9_007_199_254n);
    expect('the note', order.metadata.note, 'Grüße');
    expect('the failure', order.failure.reason, 'NO_DRIVER_AVAILABLE');
  });
  await scenario('a repetition is the same order, and a header says so', async () => {
    let replayed;
    const again = await orders.createOrder(request, {onHeader: (header) => (replayed = header.get('idempotency-replayed'))});
    expect('the id', again.orderId, order.orderId);
    expect('the header', replayed, 'true');
  });
  await scenario('an error has its code, message and details', async () => {
    const error = await errorOf(() => orders.createOrder({userId: 'u-1'}));
    expect('the code', error.code, Code.InvalidArgument);
    const [info] = error.findDetails(registry.getMessage('google.rpc.ErrorInfo'));
    expect('the reason', info.reason, 'BAD_REQUEST');
    const [bad] = error.findDetails(registry.getMessage('google.rpc.BadRequest'));
    expect('the first field', bad.fieldViolations[0].field, 'idempotency_key');
  });
  await scenario('what is not there is not found', async () => {
    const error = await errorOf(() => orders.getOrder({orderId: '01a00000-0000-7000-8000-000000000000'}));
    expect('the code', error.code, Code.NotFound);
  });
  await scenario('a deadline ends a stream that would not', async () => {
    const seen = [];
    const error = await errorOf(async () => {
      for await (const answer of health.watch({}, {timeoutMs: 150})) seen.push(answer.status);
    });
    expect('what came before', seen, [1]);
    expect('the code', error.code, Code.DeadlineExceeded);
  });
  await scenario('a stream may be left', async () => {
    for await (const answer of health.watch({})) {
      expect('the status', answer.status, 1);
      break;
    }
  });
  await scenario('a stream brings every message and ends', async () => {
    const outcomes = [];
    for await (const transition of orders.watchOrder({orderId: order.orderId})) outcomes.push(transition.outcome);
    expect('the outcomes', outcomes, ['accepted', 'succeeded', 'rejected', 'undone']);
  });
  await scenario("a stream's error has its details", async () => {
    const error = await errorOf(async () => {
      for await (const _ of orders.watchOrder({orderId: 'no id'})) throw new Error('a message came');
    });
    expect('the code', error.code, Code.InvalidArgument);
    const [info] = error.findDetails(registry.getMessage('google.rpc.ErrorInfo'));
    expect('the reason', info.reason, 'BAD_REQUEST');
  });
  await scenario('a long list comes whole', async () => {
    for (let i = 0; i < 20; ++i) {
      await orders.createOrder({...request, idempotencyKey: `${label}-l${i}`, metadata: {pad: 'x'.repeat(400)}});
    }
    const list = await orders.listOrders({userId: 'u-1', pageSize: 20});
    expect('the length', list.orders.length, 20);
    expect('another page', list.nextPageToken !== '', true);
  });
  return done;
}
