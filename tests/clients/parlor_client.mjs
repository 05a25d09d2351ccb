/** `static/parlor-client.js` on the official client: `node parlor_client.mjs URL websocket`. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { member, url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

/** The type of a Socket.IO packet: https://github.com/socketio/socket.io-protocol#packet-types */
const DISCONNECT = 1;

/** A stand-in for `localStorage`, shared by pages one after another or side by side. */
class MemoryStorage extends Map {
  get length() {
    return this.size;
  }
  key(place) {
    return [...this.keys()][place] ?? null;
  }
  getItem(key) {
    return this.get(key) ?? null;
  }
  setItem(key, value) {
    this.set(key, value);
  }
  removeItem(key) {
    this.delete(key);
  }
}

function connect(t, userId, storage = null) {
  const socket = io(url, { auth: { userId }, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
  t.after(() => socket.close());
  return { socket, parlor: new Parlor(socket, storage) };
}

/** Joins a room, and records all messages shown and all requests made since. */
async function join(t, userId, roomId, storage) {
  const { socket, parlor } = connect(t, userId, storage);
  const room = await within("the join", parlor.joinRoom(roomId));
  const [told, asked] = [[], []];
  room.on("message", (message) => told.push(message));
  socket.onAnyOutgoing((event, payload) => asked.push({ event, ...payload }));
  return { socket, room, told, asked };
}

/** Waits until `check` holds, checking again at each of a room's events. */
function until(room, event, check) {
  const seen = new Promise((resolve) => {
    const look = () => check(room) && resolve();
    room.on(event, look);
    look();
  });
  return within(event, seen);
}

const texts = (messages) => messages.map(({ message }) => message);
const numbered = (from, to) => Array.from({ length: to - from + 1 }, (_, place) => `message ${from + place}`);

/** Returns the log, as another user reads it. */
async function log(t, roomId) {
  const reader = await member(t, "reader", roomId);
  return texts((await reader.ok("getHistory", { roomId, limit: 200 })).messages);
}

/** Joins a room as another user, and sends `message 1` to `message {count}`. */
async function speaker(t, roomId, count) {
  const bob = await member(t, "bob", roomId);
  await sayAll(bob, roomId, numbered(1, count));
  return bob;
}

const sayAll = (client, roomId, said) => Promise.all(said.map((text) => client.send(roomId, text)));

test("a room has its history and its members, and tells of each message once, in order", async (t) => {
  const bob = await speaker(t, "told", 3);
  const { room, told } = await join(t, "ann", "told");
  assert.deepEqual(texts(room.messages), numbered(1, 3));
  assert.deepEqual([room.userId, room.hasOlder, room.state, room.memberCount], ["ann", false, "joined", 2]);
  assert.deepEqual([...room.members].sort(), ["ann", "bob"]);
  await sayAll(bob, "told", numbered(4, 23));
  await until(room, "message", () => told.length >= 20);
  assert.deepEqual(texts(told), numbered(4, 23));
  assert.deepEqual(texts(room.messages), numbered(1, 23));
  assert.deepEqual(await room.loadOlder(), []);
});

test("older messages come page by page, once, up to the first", async (t) => {
  await speaker(t, "older", 130);
  const { room } = await join(t, "ann", "older");
  assert.deepEqual([texts(room.messages), room.hasOlder], [numbered(81, 130), true]);
  const [one, same] = await Promise.all([room.loadOlder(), room.loadOlder()]);
  assert.equal(one, same);
  assert.deepEqual([texts(one), room.hasOlder], [numbered(31, 80), true]);
  assert.deepEqual([texts(await room.loadOlder(100)), room.hasOlder], [numbered(1, 30), false]);
  assert.deepEqual(texts(room.messages), numbered(1, 130));
});

test("an absence of more than two pages leaves no gap", async (t) => {
  const bob = await speaker(t, "gap", 2);
  const { socket, room, told, asked } = await join(t, "ann", "gap");
  const resumed = [];
  room.on("resume", (missed) => resumed.push(missed));
  socket.disconnect();
  await sayAll(bob, "gap", numbered(3, 452));
  socket.connect();
  await until(room, "state", () => room.state === "joined");
  await bob.send("gap", "message 453");
  await until(room, "message", () => told.length >= 451);
  assert.deepEqual(texts(told), numbered(3, 453));
  assert.deepEqual(texts(room.messages), numbered(1, 453));
  assert.deepEqual(resumed, [{ after: 2, until: 452 }]);
  assert.deepEqual(asked.shift(), { event: "joinRoom", roomId: "gap", lastSeq: 2, lastRevision: 0, limit: 200 });
});

test("each send goes out once, and in its order", async (t) => {
  const { room, asked } = await join(t, "ann", "sends");
  assert.deepEqual(await room.loadOlder(), []);
  const stored = await within("the receipts", Promise.all(numbered(1, 10).map((text) => room.send(text))));
  assert.deepEqual(texts(stored), numbered(1, 10));
  assert.deepEqual(texts(asked), numbered(1, 10));
});

test("sends are stored in their order, across a lost connection too", async (t) => {
  const { socket, room, told } = await join(t, "ann", "order");
  const sent = numbered(1, 10).map((text) => room.send(text));
  await sent[2];
  socket.io.engine.close();
  sent.push(...numbered(11, 20).map((text) => room.send(text)));
  const stored = await within("the receipts", Promise.all(sent));
  assert.deepEqual(stored.map(({ seq }) => seq), Array.from(stored, (_, place) => place + 1));
  await until(room, "message", () => told.length >= 20);
  assert.deepEqual([texts(told), room.outbox], [numbered(1, 20), []]);
  assert.deepEqual(await log(t, "order"), numbered(1, 20));
});

test("a message that comes twice is told of once, and not taken for a gap", async (t) => {
  const bob = await member(t, "bob", "twice");
  const { socket, room, told, asked } = await join(t, "ann", "twice");
  const message = await bob.send("twice", "message 1");
  await until(room, "message", () => told.length === 1);
  for (const listener of socket.listeners("newMessage")) listener(message);
  socket.disconnect().connect();
  room.send("message 2");
  await until(room, "message", () => told.length >= 2);
  assert.deepEqual([texts(told), texts(room.messages)], [numbered(1, 2), numbered(1, 2)]);
  assert.deepEqual(asked.map(({ event }) => event), ["joinRoom", "sendMessage"]);
});

test("a message that got lost on a connection that goes on is read, and those after it wait for it", async (t) => {
  const bob = await member(t, "bob", "hole");
  const { socket, room, told, asked } = await join(t, "ann", "hole");
  const { onevent } = socket;
  socket.onevent = (packet) => packet.data[1].seq === 2 || onevent.call(socket, packet);
  for (const text of numbered(1, 4)) await bob.send("hole", text);
  await until(room, "message", () => told.length >= 4);
  assert.deepEqual([texts(told), texts(room.messages)], [numbered(1, 4), numbered(1, 4)]);
  const reads = asked.filter(({ event }) => event === "getHistory");
  assert.ok(reads.length > 0 && reads.every(({ afterSeq }) => afterSeq === 1), JSON.stringify(asked));
});

test("a send whose ack was lost is stored and told of once", async (t) => {
  const bob = await member(t, "bob", "lost");
  const { socket, room, told } = await join(t, "ann", "lost");
  const { decoder } = socket.io;
  decoder.add = () => {};
  const receipt = room.send("hello");
  const { id } = await bob.next("newMessage");
  delete decoder.add;
  socket.io.engine.close();
  assert.equal((await within("the receipt", receipt)).id, id);
  await until(room, "outbox", () => room.outbox.length === 0);
  assert.deepEqual([texts(told), await log(t, "lost")], [["hello"], ["hello"]]);
});

test("unsent messages outlive the page, belong to their user and room alone, and are sent once", async (t) => {
  const storage = new MemoryStorage();
  const before = await join(t, "ann", "kept", storage);
  before.socket.disconnect();
  before.room.send("message 1");
  before.room.send("message 2");
  assert.equal(storage.length, 2);
  for (const [userId, roomId] of [["bob", "kept"], ["ann", "other"]]) {
    assert.deepEqual((await join(t, userId, roomId, storage)).room.outbox, []);
  }

  const { room } = await join(t, "ann", "kept", storage);
  await until(room, "outbox", () => room.outbox.length === 0);
  before.socket.connect();
  await until(before.room, "outbox", () => before.room.outbox.length === 0);
  for (const said of [room.messages, before.room.messages]) assert.deepEqual(texts(said), numbered(1, 2));
  assert.deepEqual([await log(t, "kept"), storage.length], [numbered(1, 2), 0]);
});

test("a send that the server refuses rejects, holds up nothing, and can be retried or given up", async (t) => {
  const storage = new MemoryStorage();
  const { room } = await join(t, "ann", "failed", storage);
  const [refused, stored] = [room.send("x".repeat(8_193)), room.send("fine")];
  await assert.rejects(within("the refusal", refused), { code: "MESSAGE_TOO_LARGE", retryable: false });
  assert.equal((await within("the receipt", stored)).message, "fine");
  const [failed] = room.outbox;
  assert.deepEqual([failed.status, failed.refusal.code], ["failed", "MESSAGE_TOO_LARGE"]);
  room.retry(failed);
  assert.deepEqual([failed.status, failed.refusal], ["sending", undefined]);
  await until(room, "outbox", () => failed.status === "failed");
  room.discard(failed);
  await until(room, "outbox", () => room.outbox.length === 0);
  assert.equal(storage.length, 0);
});

test("a refused connection and a refused room reject the join", async (t) => {
  const refused = { code: "INVALID_PAYLOAD", retryable: false };
  await assert.rejects(within("the refusal", connect(t, "x".repeat(129)).parlor.joinRoom("tea")), refused);
  await assert.rejects(within("the refusal", connect(t, "ann").parlor.joinRoom("x".repeat(129))), refused);
});

test("a room comes back after the server has disconnected its socket", async (t) => {
  const bob = await member(t, "bob", "told off");
  const { socket, room, told } = await join(t, "ann", "told off");
  socket.onpacket({ type: DISCONNECT, nsp: "/" });
  assert.deepEqual([room.state, socket.active], ["joining", false]);
  await bob.send("told off", "message 1");
  await until(room, "message", () => told.length >= 1);
  assert.equal(room.state, "joined");
});

test("one who has left hears nothing more and is not a member", async (t) => {
  const bob = await member(t, "bob", "left");
  const { room, told } = await join(t, "ann", "left");
  const { room: witness } = await join(t, "carol", "left");
  room.leave();
  await until(witness, "members", () => witness.memberCount === 2);
  assert.deepEqual([...witness.members].sort(), ["bob", "carol"]);
  await bob.send("left", "message 1");
  await until(witness, "message", () => witness.messages.length === 1);
  assert.deepEqual([told, room.state], [[], "closed"]);
});

test("a storage that is full keeps nobody from talking", async (t) => {
  const storage = new MemoryStorage();
  storage.setItem = () => {
    throw new Error("full");
  };
  const { room } = await join(t, "ann", "full", storage);
  assert.equal((await within("the receipt", room.send("hello"))).message, "hello");
});

test("an event of one's own reaches the others in the room, once and in order", async (t) => {
  const roomId = "signals";
  const [ann, bob] = [await join(t, "ann", roomId), await join(t, "bob", roomId)];
  const heard = [];
  bob.room.on("signal", ({ userId, type, data }) => heard.push([userId, type, data.x]));
  ann.room.on("signal", () => assert.fail("the sender hears itself"));
  await Promise.all([1, 2, 3].map((x) => ann.room.signal("move", { x }, x === 2 ? "bob" : undefined)));
  await ann.room.send("last");
  await until(bob.room, "message", ({ messages }) => messages.at(-1)?.message === "last");
  assert.deepEqual(heard, [1, 2, 3].map((x) => ["ann", "move", x]));
  await assert.rejects(ann.room.signal("", {}), { code: "INVALID_PAYLOAD" });
  ann.room.leave();
  await assert.rejects(ann.room.signal("move", {}), { code: "NOT_IN_ROOM" });
});
