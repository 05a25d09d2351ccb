/**
 * Sends by applications on a stock client, right after a sleep and while it is away: `node asleep_stock.mjs URL
 * websocket`.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { ASLEEP_MS } from "./asleep.mjs";
import { member, url, within } from "./harness.mjs";

const { now } = Date;
const TEXTS = ["one", "two", "three"];

/** Joins a room; the client's `say` returns the answer to a send. */
async function enter(t, roomId, options, join) {
  const socket = io(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ...options });
  t.after(() => {
    Date.now = now;
    socket.close();
  });
  await within("the join", new Promise((joined) => join(socket, joined)));
  const say = (message) =>
    new Promise((answered) => {
      const payload = { roomId, message, clientMessageId: message };
      socket.emit("sendMessage", payload, (...answer) => answered(answer.at(-1)));
    });
  return { socket, say };
}

/** Asserts that all texts are answered with `ok`, and stored once, in order. */
async function assertStored(t, roomId, answers) {
  const statuses = (await within("the answers", Promise.all(answers))).map(({ status, error }) => error?.code ?? status);
  assert.deepEqual(statuses, ["ok", "ok", "ok"]);
  const reader = await member(t, "reader", roomId);
  const { messages } = await reader.ok("getHistory", { roomId });
  assert.deepEqual(messages.map(({ message }) => message), TEXTS);
}

const joinOnConnect = (roomId) => (socket, joined) =>
  socket.on("connect", () => socket.emit("joinRoom", { roomId }, joined));

test("events emitted right after a sleep are stored", async (t) => {
  const { say } = await enter(t, "sleep", { auth: { userId: "ann" } }, joinOnConnect("sleep"));
  Date.now = () => now() + ASLEEP_MS;
  await assertStored(t, "sleep", TEXTS.map(say));
});

test("events emitted while the client is away are stored", async (t) => {
  const { socket, say } = await enter(t, "away", { auth: { userId: "ann" } }, joinOnConnect("away"));
  socket.io.engine.close();
  assert.equal(socket.connected, false);
  await assertStored(t, "away", TEXTS.map(say));
});

test("events that the client itself retries are stored, with the room in the handshake", async (t) => {
  const auth = (answer) => answer({ userId: "ann", rooms: [{ roomId: "retried", lastSeq: 0 }] });
  const options = { auth, retries: 3, ackTimeout: 10_000 };
  const { say } = await enter(t, "retried", options, (socket, joined) => socket.on("history", joined));
  Date.now = () => now() + ASLEEP_MS;
  await assertStored(t, "retried", TEXTS.map(say));
});
