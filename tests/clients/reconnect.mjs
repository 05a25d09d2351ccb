/**
 * A client whose server is stopped and comes again: `node reconnect.mjs URL polling|websocket|upgrade`.
 *
 * The Rust side stops the server when it reads "stop", says "missed 1" to "missed 3" in the room, starts another server
 * in its place, and answers "back" with "live".
 */

import assert from "node:assert/strict";
import test from "node:test";
import { next, open, transport } from "./harness.mjs";

const FAST = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };

const roomId = "room";

async function upgraded({ engine }) {
  if (transport === "upgrade" && engine.transport.name === "polling") await next(engine, "upgrade");
  assert.equal(engine.transport.name, transport === "polling" ? "polling" : "websocket");
}

test("a client comes back by itself and gets exactly what it missed", async (t) => {
  const ann = open({ userId: "ann" }, FAST);
  t.after(() => ann.close());
  const { socket } = ann;
  await ann.connected();
  const { messages: none } = await ann.ok("joinRoom", { roomId });
  await ann.send(roomId, "before");
  const before = [...(await ann.messages(1))];
  await upgraded(socket.io);

  const closed = next(socket, "disconnect");
  socket.emit("sendMessage", { roomId, message: "stop" });
  assert.match(await closed, /^transport (close|error)$/);
  assert.equal(socket.active, true);
  const heard = [...ann.received.newMessage];
  await next(socket, "connect");

  const { lastSeq, hasMore, messages } = await ann.ok("joinRoom", { roomId, lastSeq: heard.at(-1).seq });
  assert.deepEqual([lastSeq, hasMore], [5, false]);
  await ann.send(roomId, "back");
  const live = (await ann.messages(heard.length + 2)).slice(heard.length);
  const all = [...none, ...heard, ...messages, ...live];
  assert.deepEqual(all[0], before[0]);
  assert.deepEqual(
    all.map(({ seq, message }) => [seq, message]),
    ["before", "stop", "missed 1", "missed 2", "missed 3", "back", "live"].map((text, place) => [place + 1, text]),
  );
  await upgraded(socket.io);
});
