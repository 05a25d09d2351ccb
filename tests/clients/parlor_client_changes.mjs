/** Changes through `static/parlor-client.js`, with cut connections: `node parlor_client_changes.mjs URL TRANSPORT`. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { transport, url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

const ROUNDS = 60;

/** Joins the room as a user. */
async function member(t, userId) {
  const socket = io(url, { auth: { userId }, transports: [transport], forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
  t.after(() => socket.close());
  return { socket, room: await within("the join", new Parlor(socket, null).joinRoom("room")) };
}

/** Waits until a room shows the same as the server. */
async function settled({ socket, room }, revision) {
  const deadline = Date.now() + 10_000;
  while (room.state !== "joined" || Math.max(...room.messages.map((message) => message.revision ?? 0)) < revision) {
    assert.ok(Date.now() < deadline, `no change ${revision}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const page = await socket.emitWithAck("getHistory", { roomId: "room", limit: 200 });
  assert.deepEqual(room.messages, page.messages);
}

test("every room has the present state of every message, whatever was missed", async (t) => {
  const [ann, bob, cid] = [await member(t, "ann"), await member(t, "bob"), await member(t, "cid")];
  for (let number = 1; number <= 10; number += 1) await within("a send", ann.room.send(`message ${number}`));
  const told = [];
  bob.room.on("change", (message) => told.push(message.seq));
  let newest;
  for (let round = 0; round < ROUNDS; round += 1) {
    const seq = (round % 9) + 1;
    // The connection breaks without a word; the room comes back by itself. One that is being opened would be given up for 20 s.
    if (round % 7 === 3 && bob.socket.connected) bob.socket.io.engine.close();
    if (round % 11 === 5 && cid.socket.connected) cid.socket.io.engine.close();
    const change = round % 3 === 0 ? ann.room.edit(seq, `text ${round}`) : ann.room.react(seq, "👍", round % 2 === 0);
    newest = Math.max(newest ?? 0, (await within("a change", change)).revision ?? 0);
  }
  newest = (await within("a deletion", ann.room.delete(10))).revision;
  for (const one of [ann, bob, cid]) await within("the state", settled(one, newest));
  assert.ok(told.length > 0);
  const last = bob.room.messages.at(-1);
  assert.deepEqual([last.message, typeof last.deletedAt], ["", "string"]);
});

test("a refused change rejects with its code and the present state", async (t) => {
  const [ann, bob] = [await member(t, "dot"), await member(t, "eve")];
  const { seq } = await within("a send", ann.room.send("mine"));
  await assert.rejects(bob.room.edit(seq, "yours"), { code: "FORBIDDEN" });
  await within("a pin", bob.room.pin(seq, true));
  await within("a deletion", ann.room.delete(seq));
  await assert.rejects(ann.room.edit(seq, "back"), (refusal) => refusal.code === "CONFLICT" && refusal.current.message === "");
  await assert.rejects(ann.room.edit(seq + 1, "nothing"), { code: "NOT_FOUND" });
  await within("again", ann.room.delete(seq));
});
