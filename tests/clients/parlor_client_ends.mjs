/**
 * Beginnings and ends of rooms of `static/parlor-client.js` when something is wrong: `node parlor_client_ends.mjs URL
 * websocket`.
 */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { member, next, url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

/** The types of Socket.IO packets: https://github.com/socketio/socket.io-protocol#packet-types */
const [DISCONNECT, EVENT] = [1, 2];

function connect(t, options = {}, address = url) {
  const fast = { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
  const socket = io(address, { auth: { userId: "ann" }, ...fast, ...options });
  t.after(() => socket.close());
  return { socket, parlor: new Parlor(socket, null) };
}

/** Waits for a room's next event that passes `check`. */
const heard = (room, event, check = () => true) =>
  within(event, new Promise((resolve) => room.on(event, (detail) => check(detail) && resolve(detail))));

const texts = (messages) => messages.map(({ message }) => message);

// All at once, as most of them wait for a pause to end.
describe("a room of the client module", { concurrency: true }, () => {
  it("a room that was joined twice stays open until it is left twice", async (t) => {
    const bob = await member(t, "bob", "strict");
    const { socket, parlor } = connect(t);
    // As in React's StrictMode: a first effect, its clean-up, a second effect.
    const first = parlor.joinRoom("strict");
    first.then((room) => room.leave());
    const room = await within("the join", new Parlor(socket, null).joinRoom("strict"));
    await first;
    const live = heard(room, "message");
    await bob.send("strict", "hello");
    assert.equal((await live).message, "hello");
    assert.equal((await within("the receipt", room.send("hello, bob"))).message, "hello, bob");

    const left = [];
    socket.onAnyOutgoing((event) => left.push(event));
    room.leave();
    room.leave();
    assert.deepEqual([left, room.state], [["leaveRoom"], "closed"]);
  });

  it("a room that the server has put one out of is joined again, and what was to be said is said", async (t) => {
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("out"));
    socket.emit("leaveRoom", { roomId: "out" });
    const shown = heard(room, "message");
    assert.equal((await within("the receipt", room.send("hello"))).message, "hello");
    await shown;
    assert.deepEqual([texts(room.messages), room.state], [["hello"], "joined"]);
  });

  it("what is sent in a room that was left is refused, and what had no answer is given up", async (t) => {
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("left"));
    socket.io.decoder.add = () => {};
    const [early, waiting] = [room.send("early"), room.send("waiting")];
    room.leave();
    for (const fate of [early, waiting]) {
      await assert.rejects(within("the fate", fate), { code: "UNAVAILABLE", retryable: true });
    }
    await assert.rejects(within("the fate", room.send("late")), { code: "NOT_IN_ROOM", retryable: false });
    await assert.rejects(within("the page", room.loadOlder()), { code: "NOT_IN_ROOM" });
  });

  it("what is sent on a socket that the application closed is given up, and sent if it is opened again", async (t) => {
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("closed"));
    socket.close();
    const refusal = { code: "UNAVAILABLE", retryable: true, message: /the socket is closed/ };
    await assert.rejects(within("the fate", room.send("hello")), refusal);
    const shown = heard(room, "message");
    socket.connect();
    assert.equal((await shown).message, "hello");
    if (room.outbox.length > 0) await heard(room, "outbox");
    assert.deepEqual(room.outbox, []);
  });

  it("what is sent while the client comes back is given up when the application closes it meanwhile", async (t) => {
    const { socket, parlor } = connect(t, { reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 });
    const room = await within("the join", parlor.joinRoom("gone"));
    socket.io.engine.close();
    const fate = room.send("hello");
    socket.close();
    await assert.rejects(within("the fate", fate), { code: "UNAVAILABLE" });
  });

  it("what is sent is refused when the server lets one in no more", async (t) => {
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("expired"));
    const closed = heard(room, "closed");
    socket.io.decoder.add = () => {};
    const fate = room.send("hello");
    // As at a token's end: the server disconnects the socket, and refuses the next one.
    socket.auth = { userId: "x".repeat(129) };
    delete socket.io.decoder.add;
    socket.onpacket({ type: DISCONNECT, nsp: "/" });
    await assert.rejects(within("the fate", fate), { code: "INVALID_PAYLOAD", retryable: false });
    assert.equal((await closed).code, "INVALID_PAYLOAD");
    await assert.rejects(within("the fate", room.send("late")), { code: "INVALID_PAYLOAD" });
    await assert.rejects(within("the refusal", parlor.joinRoom("another")), { code: "INVALID_PAYLOAD" });

    socket.auth = { userId: "ann" };
    socket.connect();
    assert.equal((await within("the join", parlor.joinRoom("another"))).state, "joined");
  });

  it("what is sent right after the token's end is sent again with the next one", async (t) => {
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("renewed"));
    socket.emit = function (event, payload, ack) {
      delete socket.emit;
      // The server's answers from then on, until it has disconnected the socket.
      ack(null, { status: "error", error: { code: "TOKEN_EXPIRED", message: "the token is out of date", retryable: false } });
      socket.onpacket({ type: DISCONNECT, nsp: "/" });
      return this;
    };
    assert.equal((await within("the receipt", room.send("hello"))).message, "hello");
  });

  it("a join rejects at once when the server refuses the page's origin", async (t) => {
    const { parlor } = connect(t, { extraHeaders: { origin: "http://elsewhere.example" } });
    const troubles = [];
    const joining = parlor.joinRoom("tea", { onTrouble: ({ code }) => troubles.push(code) });
    await assert.rejects(within("the refusal", joining), { code: "FORBIDDEN", retryable: false });
    assert.deepEqual(troubles, ["FORBIDDEN"]);
  });

  it("a join tells of each attempt, and rejects in time, when the server is away", async (t) => {
    const nobody = createServer().listen(0, "127.0.0.1");
    await next(nobody, "listening");
    const address = `http://127.0.0.1:${nobody.address().port}`;
    await new Promise((closed) => nobody.close(closed));

    const { parlor } = connect(t, {}, address);
    const troubles = [];
    const joining = parlor.joinRoom("tea", { timeoutMs: 1_000, onTrouble: (trouble) => troubles.push(trouble) });
    const expected = { code: "UNAVAILABLE", retryable: true, message: /^the server cannot be reached: / };
    await assert.rejects(within("the rejection", joining), expected);
    assert.ok(troubles.length > 1, `${troubles}`);
    assert.ok(troubles.every(({ code }) => code === "UNAVAILABLE"));
  });

  it("a room says when it is in trouble, and when it is over", async (t) => {
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("trouble"));
    const troubles = [];
    room.on("trouble", (trouble) => troubles.push(trouble?.code ?? null));
    const { uri } = socket.io;
    socket.io.uri = "http://127.0.0.1:9";
    socket.io.engine.close();
    await heard(room, "trouble");
    socket.io.uri = uri;
    await heard(room, "trouble", (trouble) => trouble === null);
    assert.deepEqual(troubles.filter((code) => code !== "UNAVAILABLE"), [null]);
  });

  it("a room whose log went back shows what is there now", async (t) => {
    const bob = await member(t, "bob", "restored");
    const { socket, parlor } = connect(t);
    const room = await within("the join", parlor.joinRoom("restored"));
    await within("the receipt", room.send("before 1"));
    const shown = heard(room, "message", ({ message }) => message === "before 2");
    const stored = await within("the receipt", room.send("before 2"));
    await shown;
    const told = [];
    room.on("message", (message) => told.push(message));
    const reset = heard(room, "reset");
    const messages = [{ ...stored, id: "another", seq: 1, message: "restored" }];
    const answer = { roomId: "restored", messages, lastSeq: 1, hasMore: false, members: ["ann"], memberCount: 1 };
    socket.onpacket({ type: EVENT, nsp: "/", data: ["history", { ...answer, roomId: "other", reset: true }] });
    socket.onpacket({ type: EVENT, nsp: "/", data: ["history", answer] });
    assert.deepEqual(texts(room.messages), ["before 1", "before 2"]);
    socket.onpacket({ type: EVENT, nsp: "/", data: ["history", { ...answer, reset: true }] });
    assert.deepEqual(await reset, messages);
    assert.deepEqual([room.messages, room.hasOlder, room.memberCount, room.userId, told], [messages, false, 1, "ann", []]);
    socket.onpacket({ type: EVENT, nsp: "/", data: ["newMessage", { ...stored, seq: 2, message: "after" }] });
    assert.deepEqual(texts(told), ["after"]);
    bob.close();
  });
});
