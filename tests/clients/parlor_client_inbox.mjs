/** Read marks and the list of rooms through `static/parlor-client.js`: `node parlor_client_inbox.mjs URL TRANSPORT`. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { transport, url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

/** Connects as a user. */
function user(t, userId) {
  const socket = io(url, { auth: { userId }, transports: [transport], forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
  t.after(() => socket.close());
  return { socket, parlor: new Parlor(socket, null) };
}

/** Waits until a condition holds. */
async function until(what, holds) {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, what());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The rooms of a list with their unread messages. */
const unread = (list) => list.rooms.map((room) => [room.roomId, room.unread]);

async function untilUnread(list, expected) {
  const shown = () => JSON.stringify(unread(list));
  await until(shown, () => shown() === JSON.stringify(expected));
}

test("the list of rooms is live, and right again after cut connections", async (t) => {
  const [phone, laptop, bob] = [user(t, "ann"), user(t, "ann"), user(t, "bob")];
  const lists = [phone, laptop].map(({ parlor }) => parlor.rooms());
  const [a, b] = [await within("a", bob.parlor.joinRoom("a")), await within("b", bob.parlor.joinRoom("b"))];
  await within("a send", a.send("one"));
  await within("a send", b.send("two"));
  await within("a follow", lists[0].follow("a"));
  await within("a follow", lists[0].follow("b", true));
  for (const list of lists) await untilUnread(list, [["b", 1], ["a", 1]]);
  assert.equal(lists[1].unread, 1, "muted rooms do not count");
  // The connection breaks without a word, and something happens meanwhile.
  laptop.socket.io.engine.close();
  await within("a send", a.send("three"));
  await within("an end", lists[0].unfollow("b"));
  for (const list of lists) await untilUnread(list, [["a", 2]]);
  const room = await within("the join", phone.parlor.joinRoom("a"));
  room.markRead();
  for (const list of lists) await untilUnread(list, [["a", 0]]);
  await within("a send", room.send("four"));
  for (const list of lists) await until(() => JSON.stringify(list.rooms), () => list.rooms[0].lastMessage.message === "four");
  assert.deepEqual(unread(lists[1]), [["a", 0]]);
});

test("marks are told, never go back, and are known after a join", async (t) => {
  const [ann, bob] = [user(t, "cleo"), user(t, "dot")];
  const [hers, his] = [await within("a join", ann.parlor.joinRoom("marks")), await within("a join", bob.parlor.joinRoom("marks"))];
  for (let number = 1; number <= 5; number += 1) await within("a send", hers.send(`message ${number}`));
  await until(() => `${hers.readSeq}: own messages are read`, () => hers.readSeq === 5);
  await until(() => `${his.messages.length}`, () => his.messages.length === 5);
  assert.deepEqual([his.readSeq, his.reads.get("cleo")], [0, 5]);
  const told = [];
  hers.on("read", (reads) => told.push(reads.get("dot") ?? 0));
  // Marks that come while one is on its way become one.
  for (const seq of [2, 1, 4, 3]) his.markRead(seq);
  await until(() => `${told}`, () => told.at(-1) === 4);
  assert.equal(his.readSeq, 4);
  bob.socket.io.engine.close();
  his.markRead();
  await until(() => `${told}`, () => told.at(-1) === 5);
  assert.deepEqual(told, [...told].sort(), "no position goes back");
  const again = await within("a join", user(t, "dot").parlor.joinRoom("marks"));
  again.on("read", () => {});
  assert.equal(again.readSeq, 5);
  await until(() => "reads", () => again.reads.get("cleo") === 5);
});

test("an edit and a reaction show at once, and go again when they are refused", async (t) => {
  const [ann, bob] = [user(t, "eve"), user(t, "fay")];
  const [hers, his] = [await within("a join", ann.parlor.joinRoom("early")), await within("a join", bob.parlor.joinRoom("early"))];
  const { seq } = await within("a send", hers.send("hello", { metadata: { a: 1 } }));
  await until(() => "the message", () => hers.messages.length === 1 && his.messages.length === 1);
  assert.deepEqual(his.messages[0].metadata, { a: 1 });
  const shown = () => [hers.messages[0].message, hers.messages[0].reactions ?? []];
  const edit = hers.edit(seq, "hi");
  const react = hers.react(seq, "👍", true);
  assert.deepEqual(shown(), ["hi", [{ reaction: "👍", count: 1, userIds: ["eve"] }]]);
  const [, stored] = await within("the changes", Promise.all([edit, react]));
  assert.deepEqual(hers.messages[0], stored);
  // Fast clicks: the last one counts.
  const clicks = [false, true, false, true, false].map((on) => hers.react(seq, "👍", on));
  assert.deepEqual(shown()[1], []);
  await within("the clicks", Promise.all(clicks));
  assert.deepEqual(shown(), ["hi", []]);
  const changes = [];
  his.on("change", (message) => changes.push(message.message));
  await assert.rejects(within("a refusal", his.edit(seq, "not mine")), { code: "FORBIDDEN" });
  assert.deepEqual([changes[0], changes.at(-1)], ["not mine", "hi"]);
  const reply = await within("a reply", his.send("yes", { replyTo: seq }));
  assert.equal(reply.replyTo, seq);
});
