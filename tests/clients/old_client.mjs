/**
 * The official client of 2020, which speaks Engine.IO 3, in a room with today's: `node old_client.mjs URL upgrade`.
 */

import assert from "node:assert/strict";
import test from "node:test";
import io from "socket.io-client-v2";
import { Client, member, next, url } from "./harness.mjs";

async function connect(t) {
  const old = new Client(io(url, { transports: ["polling", "websocket"], forceNew: true, reconnection: false }));
  t.after(() => old.close());
  const { engine } = old.socket.io;
  assert.equal(engine.transport.query.EIO, 3);
  await Promise.all([old.connected(), next(engine, "upgrade")]);
  assert.equal(engine.transport.name, "websocket");
  return old;
}

test("a client of version 2 chats with one of version 4", async (t) => {
  const roomId = "room";
  const ann = await member(t, "ann", roomId);
  const first = await ann.send(roomId, "from 4, before");

  const old = await connect(t);
  const { messages, ...joined } = await old.ok("joinRoom", { roomId, userId: "old" });
  assert.deepEqual(messages, [first]);
  joined.members.sort();
  const expected = { roomId, userId: "old", lastSeq: 1, hasMore: false, members: ["ann", "old"], memberCount: 2, lastRevision: 0, readSeq: 0 };
  assert.deepEqual(joined, expected);

  const sent = [first, await old.send(roomId, "from 2", "c1"), await ann.send(roomId, "from 4 🦀")];
  assert.deepEqual(await ann.messages(3), sent);
  assert.deepEqual(await old.messages(2), sent.slice(1));
  const repeated = await old.ok("sendMessage", { roomId, message: "from 2", clientMessageId: "c1" });
  assert.deepEqual(repeated, { message: sent[1], duplicate: true });
});

test("a client of version 2 hears what fails, and can leave", async (t) => {
  const old = await connect(t);
  assert.equal((await old.refused("joinRoom", { roomId: "hall" })).code, "INVALID_PAYLOAD");
  assert.equal((await old.refused("dance", {})).code, "UNKNOWN_EVENT");
  old.socket.emit("sendMessage", { roomId: "hall", message: "hi" });
  const { event, error } = await old.next("error");
  assert.deepEqual([event, error.code], ["sendMessage", "NOT_IN_ROOM"]);

  old.socket.emit("joinRoom", { roomId: "hall", userId: "old" });
  assert.equal((await old.next("history")).lastSeq, 0);
  assert.deepEqual(await old.ok("leaveRoom", { roomId: "hall" }), { roomId: "hall" });
});
