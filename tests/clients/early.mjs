/**
 * A client whose machine slept: its ping is overdue by the clock when it sends again: `node early.mjs URL
 * polling|websocket|upgrade`. It buffers the message, and sends it before its `connect` handler can join.
 */

import assert from "node:assert/strict";
import test from "node:test";
import { next, open, within } from "./harness.mjs";

const FAST = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
const ASLEEP_MS = 600_000;

function sleep(t) {
  const { now } = Date;
  Date.now = () => now() + ASLEEP_MS;
  t.after(() => {
    Date.now = now;
  });
}

async function assertSaid(client, roomId, texts) {
  const { messages } = await client.ok("getHistory", { roomId });
  assert.deepEqual(
    messages.map(({ seq, message }) => [seq, message]),
    texts.map((text, place) => [place + 1, text]),
  );
}

test("messages sent right after a sleep, and while away, are stored once and in order", async (t) => {
  const roomId = "joined";
  const ann = open({ userId: "ann" }, FAST);
  t.after(() => ann.close());
  ann.socket.on("connect", () => ann.socket.emit("joinRoom", { roomId }));
  await ann.next("history");
  sleep(t);
  const first = ann.call("sendMessage", { roomId, message: "first" });
  await next(ann.socket, "disconnect");
  ann.socket.emit("sendMessage", { roomId, message: "away" });
  const last = ann.call("sendMessage", { roomId, message: "last" });
  for (const { status, duplicate } of await Promise.all([first, last])) {
    assert.deepEqual([status, duplicate], ["ok", false]);
  }
  await ann.next("history");
  await assertSaid(ann, roomId, ["first", "away", "last"]);
});

test("a client that repeats one packet at a time is in its rooms by the handshake", async (t) => {
  const roomId = "named";
  const auth = (answer) => answer({ userId: "ann", rooms: [{ roomId, lastSeq: 0 }] });
  const ann = open(auth, { ...FAST, retries: 3, ackTimeout: 5_000 });
  t.after(() => ann.close());
  await ann.next("history");
  sleep(t);
  const stored = new Promise((resolve, reject) => {
    const answered = (error, answer) => (error ? reject(error) : resolve(answer));
    ann.socket.emit("sendMessage", { roomId, message: "awake", clientMessageId: "once" }, answered);
  });
  assert.equal((await within("the ack", stored)).status, "ok");
  const reader = open({ userId: "bob" });
  t.after(() => reader.close());
  await reader.ok("joinRoom", { roomId });
  await assertSaid(reader, roomId, ["awake"]);
});
