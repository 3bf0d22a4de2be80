// Prints a line for each change of an order. Usage: node subscribe.js [live | from N | state]
import { readFileSync } from 'node:fs';
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';

const [how = 'live', from] = process.argv.slice(2);
const sequence = how === 'from' ? Number(from) : 1;
if (!['live', 'from', 'state'].includes(how) || !Number.isSafeInteger(sequence) || sequence < 1) fail('live, from N or state?');

const servers = (process.env.NATS_URL ?? 'nats://127.0.0.1:4222').split(',');
const { NATS_NKEY: seed, NATS_CA: caFile, NATS_CERT: certFile, NATS_KEY: keyFile } = process.env; // paths of files
const options = { servers, name: 'example', maxReconnectAttempts: -1 };
if (seed) options.authenticator = nkeyAuthenticator(new TextEncoder().encode(readFileSync(seed, 'utf8').trim()));
if (caFile || certFile) options.tls = { caFile, certFile, keyFile };
const nc = await connect(options).catch(fail);
const { streams } = await jetstreamManager(nc);
const { created, state } = await streams.info('ORDERS').catch(fail);

// An ordered consumer goes on where it was after a reconnection. "live" begins at a sequence as
// well, so that what happens before its first message is not lost either.
const start = {
  live: { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: state.last_seq + 1 },
  from: { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: sequence },
  state: { deliver_policy: DeliverPolicy.LastPerSubject },
}[how];
const consumer = await jetstream(nc).consumers.get('ORDERS', { filter_subjects: 'order.changed.*', ...start });
const messages = await consumer.consume({ idle_heartbeat: 2000 });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => messages.stop());
endWithStream();
console.error('subscribed');
for await (const msg of messages) {
  const { change, record_id: id, order } = msg.json();
  console.log(msg.seq, change, id, text(order.name), text(order.status), text(order.amount));
}
await nc.close();

// A stream made anew uses its sequences again: going on from the last one would miss events.
async function endWithStream() {
  for await (const { type } of messages.status()) {
    if (!['stream_not_found', 'consumer_not_found', 'ordered_consumer_recreated'].includes(type)) continue;
    const now = await streams.info('ORDERS').catch((err) => err);
    if (now.message === 'stream not found' || (now.created && now.created !== created)) fail('ORDERS was deleted or made anew: begin with state');
  }
}

function text(value) {
  return JSON.stringify(String(value ?? '-'));
}

function fail(reason) {
  console.error('subscribe:', reason.message ?? reason);
  process.exit(1);
}
