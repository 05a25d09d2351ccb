// The benchmark's peer of Parlor: the same contract, on socket.io and pg, in one process; or in several that share their
// rooms by an adapter, with fewer promises (see room.mjs).
//
// It follows https://socket.io/docs/v4/performance-tuning/: it uses bufferutil and drops each connection's HTTP
// request. utf-8-validate is left out, as ws does not load it beside Node's buffer.isUtf8 (18.14 and newer).
// Compression is off, as by default.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { Server } from 'socket.io';

import { open } from './adapter.mjs';
import { Chat } from './chat.mjs';
import { ChatError, object } from './payload.mjs';
import { Store } from './store.mjs';

const MAX_ECHOED_CHARS = 64;
const SHUTDOWN_TIMEOUT_MS = 20_000;
/** Reasons of an intended disconnect; any other connection broke. */
const MEANT = new Set(['client namespace disconnect', 'server namespace disconnect']);

const { env } = process;
const http = createServer();
const adapter = await open(env);
const io = new Server(http, {
  ...(adapter && { adapter }),
  pingInterval: Number(env.PING_INTERVAL_MS ?? 20_000),
  pingTimeout: Number(env.PING_TIMEOUT_MS ?? 20_000),
  serveClient: false,
});
const store = new Store(env.DATABASE_URL, Number(env.POOL_SIZE ?? 20));
const chat = new Chat(io, store, adapter === undefined);
const handlers = new Map([
  ['joinRoom', chat.joinRoom],
  ['leaveRoom', chat.leaveRoom],
  ['sendMessage', chat.sendMessage],
  ['getHistory', chat.getHistory],
  ['typing', chat.typing],
]);

/** Handles every event of all sockets, so that a socket costs no closures. `this` is the socket. */
async function dispatch(event, ...args) {
  if (!this.connected) return;
  const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
  try {
    const handler = handlers.get(event) ?? unknown(event);
    await handler.call(chat, this, object(args[0]), (fields) => succeed(this, event, fields, ack));
  } catch (error) {
    fail(this, event, error, ack);
  }
}

function unknown(event) {
  throw new ChatError('UNKNOWN_EVENT', `there is no event "${String(event).slice(0, MAX_ECHOED_CHARS)}"`);
}

function succeed(socket, event, fields, ack) {
  if (ack) ack({ status: 'ok', ...fields });
  else if (event === 'joinRoom') socket.emit('history', fields);
}

function fail(socket, event, cause, ack) {
  const error = cause instanceof ChatError ? cause : internal(cause);
  if (ack) ack({ status: 'error', error });
  else socket.emit('error', { event, error });
}

function internal(cause) {
  const id = randomUUID();
  console.error(id, cause);
  return new ChatError('INTERNAL', `internal error ${id}`);
}

function disconnected(reason) {
  chat.disconnected(this, !MEANT.has(reason));
}

io.engine.on('connection', (connection) => {
  connection.request = null;
});

io.use((socket, next) => {
  try {
    chat.connect(socket);
    next();
  } catch (error) {
    next(new Error(`${error.code}: ${error.message}`));
  }
});

io.on('connection', (socket) => {
  socket.onAny(dispatch);
  socket.on('disconnect', disconnected);
});

async function stop() {
  setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT_MS);
  await chat.idle();
  await io.close();
  await store.close();
  process.exit(0);
}

process.once('SIGTERM', stop);
process.once('SIGINT', stop);

await store.open();
http.listen(Number(env.PORT ?? 3000), env.HOST ?? '127.0.0.1', () => {
  const { address, port } = http.address();
  console.log(JSON.stringify({ address: `${address}:${port}` }));
});
