/** The contract as the official client sees it: `node chat.mjs URL polling|websocket|upgrade`. */

import assert from "node:assert/strict";
import test from "node:test";
import { connect, guest, member, next, open, transport, within } from "./harness.mjs";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const UTC_MILLISECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const texts = (messages) => messages.map(({ message }) => message);
const seqs = (messages) => messages.map(({ seq }) => seq);

test("the first to join an empty room finds only itself", async (t) => {
  const ann = await guest(t, "ann");
  const joined = await ann.ok("joinRoom", { roomId: "empty" });
  const expected = { roomId: "empty", userId: "ann", messages: [], lastSeq: 0, hasMore: false };
  assert.deepEqual(joined, { ...expected, members: ["ann"], memberCount: 1, lastRevision: 0, readSeq: 0 });
});

test("a message is acked, and broadcast to everyone in the room, the sender too", async (t) => {
  const [ann, bob] = [await member(t, "ann", "chat"), await member(t, "bob", "chat")];
  const sent = await ann.ok("sendMessage", { roomId: "chat", message: "hello 🦀 <b>", clientMessageId: "c1" });
  const { id, timestamp, ...rest } = sent.message;
  assert.match(id, UUID_V7);
  assert.match(timestamp, UTC_MILLISECONDS);
  const expected = { roomId: "chat", seq: 1, userId: "ann", operatorId: null, message: "hello 🦀 <b>" };
  assert.deepEqual(rest, { ...expected, clientMessageId: "c1" });
  assert.equal(sent.duplicate, false);
  assert.deepEqual(await ann.next("newMessage"), sent.message);
  assert.deepEqual(await bob.next("newMessage"), sent.message);
});

test("an operator's messages say so, and nobody changes who they are", async (t) => {
  const op = await connect(t);
  assert.equal((await op.refused("joinRoom", { roomId: "desk" })).code, "INVALID_PAYLOAD");
  assert.equal((await op.ok("joinRoom", { roomId: "desk", operatorId: "op" })).userId, "op");
  const { userId, operatorId, clientMessageId } = await op.send("desk", "how can I help?");
  assert.deepEqual({ userId, operatorId, clientMessageId }, { userId: "op", operatorId: "op", clientMessageId: null });
  assert.equal((await op.refused("joinRoom", { roomId: "desk", userId: "ann" })).code, "FORBIDDEN");
});

test("a joiner gets the history that it asks for, then what comes live", async (t) => {
  const ann = await member(t, "ann", "history");
  for (const text of ["1", "2", "3", "4"]) await ann.send("history", text);

  const bob = await guest(t, "bob");
  const newest = await bob.ok("joinRoom", { roomId: "history", limit: 2 });
  assert.deepEqual(texts(newest.messages), ["3", "4"]);
  assert.deepEqual([newest.lastSeq, newest.hasMore, newest.memberCount], [4, true, 2]);
  assert.deepEqual(newest.members.sort(), ["ann", "bob"]);
  await ann.send("history", "5");
  assert.equal((await bob.next("newMessage")).seq, 5);

  const again = await bob.ok("joinRoom", { roomId: "history", lastSeq: 3 });
  assert.deepEqual([texts(again.messages), again.lastSeq, again.hasMore], [["4", "5"], 5, false]);
  await ann.send("history", "6");
  assert.equal((await bob.next("newMessage")).seq, 6);
});

test("history is read in pages, both ways", async (t) => {
  const ann = await member(t, "ann", "pages");
  for (const text of ["1", "2", "3", "4", "5"]) await ann.send("pages", text);
  const page = async (range) => {
    const { messages, hasMore } = await ann.ok("getHistory", { roomId: "pages", ...range });
    return [...texts(messages), hasMore];
  };
  assert.deepEqual(await page({ limit: 2 }), ["4", "5", true]);
  assert.deepEqual(await page({ beforeSeq: 4, limit: 2 }), ["2", "3", true]);
  assert.deepEqual(await page({ beforeSeq: 3, limit: 2 }), ["1", "2", false]);
  assert.deepEqual(await page({ afterSeq: 1, limit: 2 }), ["2", "3", true]);
  assert.deepEqual(await page({ afterSeq: 3, limit: 9 }), ["4", "5", false]);
});

test("sends that do not wait for their acks keep their order", async (t) => {
  const [ann, bob] = [await member(t, "ann", "pipeline"), await member(t, "bob", "pipeline")];
  const sent = Array.from({ length: 200 }, (_, number) => String(number));
  const stored = await Promise.all(sent.map((text) => ann.send("pipeline", text)));
  assert.deepEqual(texts(stored), sent);
  assert.deepEqual(seqs(stored), sent.map((text) => Number(text) + 1));
  assert.deepEqual(await bob.messages(sent.length), stored);
});

test("a repeated clientMessageId gives the first message back and is not broadcast again", async (t) => {
  const [ann, tab] = [await member(t, "ann", "twice"), await member(t, "ann", "twice")];
  const first = await ann.send("twice", "once", "same");
  const repeated = await tab.ok("sendMessage", { roomId: "twice", message: "other", clientMessageId: "same" });
  assert.deepEqual(repeated, { message: first, duplicate: true });
  const second = await ann.send("twice", "two");
  for (const client of [ann, tab]) {
    assert.deepEqual(await client.messages(2), [first, second]);
  }
});

test("a user who has left a room receives nothing from it and sends nothing to it", async (t) => {
  const [ann, bob] = [await member(t, "ann", "left"), await member(t, "bob", "left")];
  await bob.ok("joinRoom", { roomId: "other" });
  assert.deepEqual(await bob.ok("leaveRoom", { roomId: "left" }), { roomId: "left" });
  for (const [event, fields] of [
    ["sendMessage", { message: "still here?" }],
    ["typing", { isTyping: true }],
    ["getHistory", {}],
    ["leaveRoom", {}],
  ]) {
    assert.equal((await bob.refused(event, { roomId: "left", ...fields })).code, "NOT_IN_ROOM", event);
  }
  await ann.send("left", "bob is gone");
  await bob.send("other", "here");
  assert.deepEqual(texts([await bob.next("newMessage")]), ["here"]);
  assert.deepEqual(texts(bob.received.newMessage), ["here"]);
});

test("members hear who comes and goes, by user and not by tab", async (t) => {
  const ann = await member(t, "ann", "presence");
  const presence = (change) => ({ roomId: "presence", joined: [], left: [], ...change });
  assert.deepEqual(await ann.next("presence"), presence({ joined: ["ann"], memberCount: 1 }));
  const [tab, bob] = [await member(t, "ann", "presence"), await member(t, "bob", "presence")];
  assert.deepEqual(await ann.next("presence"), presence({ joined: ["bob"], memberCount: 2 }));
  await tab.ok("leaveRoom", { roomId: "presence" });
  bob.socket.disconnect();
  assert.deepEqual(await ann.next("presence"), presence({ left: ["bob"], memberCount: 1 }));
});

/** Repeats a signal, which may get lost, until the other client has received it. */
async function typeUntilHeard(ann, bob, isTyping) {
  const heard = () => bob.received.typing.find((typing) => typing.isTyping === isTyping);
  while (!heard()) assert.deepEqual(await ann.ok("typing", { roomId: "typing", isTyping }), {});
  assert.deepEqual(heard(), { roomId: "typing", userId: "ann", isTyping });
}

test("the others see who types", async (t) => {
  const [ann, bob] = [await member(t, "ann", "typing"), await member(t, "bob", "typing")];
  await within("typing", typeUntilHeard(ann, bob, true));
  await within("not typing any more", typeUntilHeard(ann, bob, false));
  assert.deepEqual(ann.received.typing, []);
});

test("a wrong payload is answered with the field that is wrong", async (t) => {
  const ann = await member(t, "ann", "wrong");
  for (const [event, payload, field] of [
    ["joinRoom", undefined, "payload"],
    ["joinRoom", null, "payload"],
    ["joinRoom", [], "payload"],
    ["joinRoom", "wrong", "payload"],
    ["joinRoom", {}, "roomId"],
    ["joinRoom", { roomId: 7 }, "roomId"],
    ["joinRoom", { roomId: "" }, "roomId"],
    ["joinRoom", { roomId: "é".repeat(65) }, "roomId"],
    ["joinRoom", { roomId: "wrong", lastSeq: -1 }, "lastSeq"],
    ["joinRoom", { roomId: "wrong", limit: 1.5 }, "limit"],
    ["sendMessage", { roomId: "wrong" }, "message"],
    ["sendMessage", { roomId: "wrong", message: { text: "hi" } }, "message"],
    ["sendMessage", { roomId: "wrong", message: Buffer.from("hi") }, "message"],
    ["sendMessage", { roomId: "wrong", message: " \n" }, "message"],
    ["sendMessage", { roomId: "wrong", message: "hi", clientMessageId: true }, "clientMessageId"],
    ["getHistory", { roomId: "wrong", beforeSeq: 2, afterSeq: 1 }, "beforeSeq"],
    ["typing", { roomId: "wrong", isTyping: "yes" }, "isTyping"],
    ["leaveRoom", { room: "wrong" }, "roomId"],
  ]) {
    const error = await ann.refused(event, payload);
    const what = `${event} ${JSON.stringify(payload)}: ${error.message}`;
    assert.deepEqual([error.code, error.retryable], ["INVALID_PAYLOAD", false], what);
    assert.ok(error.message.includes(field), what);
  }
  assert.equal((await ann.send("wrong", "fine")).seq, 1);
});

test("a message may have 8,192 bytes and no more", async (t) => {
  const ann = await member(t, "ann", "large");
  assert.equal((await ann.send("large", "é".repeat(4096))).message.length, 4096);
  const { code } = await ann.refused("sendMessage", { roomId: "large", message: `${"é".repeat(4096)}!` });
  assert.equal(code, "MESSAGE_TOO_LARGE");
});

test("an unknown event is answered", async (t) => {
  const ann = await guest(t, "ann");
  const { code, retryable } = await ann.refused("dance", { roomId: "floor" });
  assert.deepEqual([code, retryable], ["UNKNOWN_EVENT", false]);
});

test("without an ack, a join is answered by the event history", async (t) => {
  const ann = await member(t, "ann", "unacked");
  const message = await ann.send("unacked", "before");
  const bob = await guest(t, "bob");
  bob.socket.emit("joinRoom", { roomId: "unacked" });
  const { roomId, userId, messages, lastSeq, hasMore, members, memberCount } = await bob.next("history");
  assert.deepEqual([roomId, userId, lastSeq, hasMore, memberCount], ["unacked", "bob", 1, false, 2]);
  assert.deepEqual(members.sort(), ["ann", "bob"]);
  assert.deepEqual(messages, [message]);
  bob.socket.emit("sendMessage", { roomId: "unacked", message: "after" });
  assert.equal((await bob.next("newMessage")).message, "after");
});

test("without an ack, a failure is told by the event error", async (t) => {
  const ann = await member(t, "ann", "somewhere");
  for (const [event, payload, expected] of [
    ["joinRoom", {}, "INVALID_PAYLOAD"],
    ["sendMessage", { roomId: "nowhere", message: "hi" }, "NOT_IN_ROOM"],
    ["getHistory", { roomId: "nowhere" }, "NOT_IN_ROOM"],
    ["typing", { roomId: "nowhere", isTyping: true }, "NOT_IN_ROOM"],
    ["leaveRoom", { roomId: "nowhere" }, "NOT_IN_ROOM"],
    ["dance", undefined, "UNKNOWN_EVENT"],
  ]) {
    ann.socket.emit(event, payload);
    const failure = await ann.next("error");
    const retryable = event === "sendMessage";
    assert.deepEqual([failure.event, failure.error.code, failure.error.retryable], [event, expected, retryable]);
  }
});

test("a bad auth is refused with a code, and the client does not try again", async (t) => {
  for (const userId of ["", 7, "x".repeat(129), { name: "ann" }]) {
    const ann = open({ userId }, { reconnection: true });
    t.after(() => ann.close());
    const error = await next(ann.socket, "connect_error");
    assert.match(error.message, /^INVALID_PAYLOAD: .*userId/);
    assert.equal(ann.socket.active, false);
  }
});

test("there is only the main namespace", async (t) => {
  const ann = open({ userId: "ann" }, { namespace: "/admin" });
  t.after(() => ann.close());
  assert.equal((await next(ann.socket, "connect_error")).message, "Invalid namespace");
});

const whileUpgrading = "what is sent while the transport changes arrives once and in order";

if (transport === "upgrade") {
  test(whileUpgrading, async (t) => {
    const bob = await member(t, "bob", "change");
    const ann = open({ userId: "ann" });
    t.after(() => ann.close());
    const { engine } = ann.socket.io;
    const upgraded = next(engine, "upgrade").then(() => true);
    await ann.connected();
    await ann.ok("joinRoom", { roomId: "change" });
    const sent = [];
    const sendOne = async () => sent.push(await ann.send("change", String(sent.length)));
    do await sendOne();
    while (!(await Promise.race([upgraded, false])));
    for (let number = 0; number < 5; number += 1) await sendOne();
    assert.equal(engine.transport.name, "websocket");
    for (const client of [ann, bob]) assert.deepEqual(await client.messages(sent.length), sent);
  });
}
