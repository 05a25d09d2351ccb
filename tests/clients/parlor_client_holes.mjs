/**
 * `static/parlor-client.js` in a room with rows deleted by hand: `node parlor_client_holes.mjs URL websocket`.
 *
 * The Rust side has stored `message 1` to `message 450` in `room`, and deleted some: the script knows their numbers.
 */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { argv } from "node:process";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { member, url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

const DELETED = JSON.parse(argv[4]);
const there = (from, to) =>
  Array.from({ length: to - from + 1 }, (_, place) => from + place).filter((seq) => !DELETED.includes(seq));
const seqs = (messages) => messages.map(({ seq }) => seq);

/** Joins a room, and records its requests to the server. */
async function join(t, userId) {
  const socket = io(url, { auth: { userId }, forceNew: true, reconnectionDelay: 20 });
  t.after(() => socket.close());
  const asked = [];
  socket.onAnyOutgoing((event, payload) => asked.push({ event, ...payload }));
  const room = await within("the join", new Parlor(socket, null).joinRoom("room"));
  return { socket, room, asked };
}

/** Waits until a room has a message. */
function shows(room, seq) {
  const shown = new Promise((resolve) => {
    const look = () => room.messages.some((message) => message.seq === seq) && resolve();
    room.on("message", look);
    look();
  });
  return within(`message ${seq}`, shown);
}

test("a joiner passes over what is not there, and hears what comes", async (t) => {
  const bob = await member(t, "bob", "room");
  const { room, asked } = await join(t, "ann");
  assert.deepEqual(seqs(room.messages), there(1, 450).slice(-50));
  while (room.hasOlder) await room.loadOlder(200);
  assert.deepEqual(seqs(room.messages), there(1, 450));
  const last = shows(room, 451);
  await bob.send("room", "message 451");
  await last;
  // The newest message was deleted, so there seemed to be a gap before the next one.
  assert.deepEqual(asked.filter(({ afterSeq }) => afterSeq !== undefined).map(({ afterSeq }) => afterSeq), [449]);
});

test("a message that was lost on its way, and deleted, is asked for once", async (t) => {
  const bob = await member(t, "bob", "room");
  const { socket, room, asked } = await join(t, "carol");
  const { emit, onevent } = socket;
  const lost = (message) => message.message === "lost";
  socket.onevent = (packet) => lost(packet.data[1]) || onevent.call(socket, packet);
  socket.emit = function (event, payload, ack) {
    if (event !== "getHistory") return emit.call(this, event, payload, ack);
    // The server's answer after the deletion.
    return emit.call(this, event, payload, (late, page) => ack(late, { ...page, messages: page.messages.filter((m) => !lost(m)) }));
  };
  await bob.send("room", "lost");
  const sent = [];
  for (let count = 0; count < 20; count += 1) sent.push((await bob.send("room", "hello")).seq);
  await shows(room, sent.at(-1));
  assert.deepEqual(seqs(room.messages).slice(-20), sent);
  const reads = asked.filter(({ event }) => event === "getHistory");
  assert.ok(reads.length >= 1 && reads.length <= 2, JSON.stringify(reads));
});

test("a client that was away for long skips deleted messages", async (t) => {
  const { socket, room, asked } = await join(t, "dave");
  const last = room.messages.at(-1).seq;
  socket.disconnect();
  const bob = await member(t, "bob", "room");
  for (let count = 0; count < 250; count += 1) await bob.send("room", "hello");
  const { emit } = socket;
  // The server's answer with every tenth message deleted.
  const withHoles = (answer) => answer && { ...answer, messages: answer.messages?.filter(({ seq }) => seq % 10 > 0) };
  socket.emit = function (event, payload, ack) {
    return emit.call(this, event, payload, (late, answer) => ack(late, withHoles(answer)));
  };
  const end = Math.floor((last + 250) / 10) * 10 + 11;
  const shown = shows(room, end);
  socket.connect();
  while ((await bob.send("room", "hello")).seq < end);
  await shown;
  const kept = Array.from({ length: end - last }, (_, place) => last + 1 + place).filter((seq) => seq % 10 > 0);
  assert.deepEqual(seqs(room.messages).filter((seq) => seq > last && seq % 10 > 0), kept);
  const reads = asked.filter(({ event }) => event === "getHistory");
  assert.ok(reads.length <= 4, JSON.stringify(reads));
});
