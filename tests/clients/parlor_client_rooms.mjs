/** Rooms with settings and members through `static/parlor-client.js`: `node parlor_client_rooms.mjs URL TRANSPORT`. */

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

/** Joins a room as a user. */
async function member(t, userId, roomId) {
  const { socket, parlor } = user(t, userId);
  return { socket, parlor, room: await within("the join", parlor.joinRoom(roomId)) };
}

/** Waits until a condition holds. */
async function until(what, holds) {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, what());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits for the next event of a room. */
const heard = (room, event) => within(event, new Promise((resolve) => room.on(event, resolve)));

test("a room that nobody created has neither settings nor roles", async (t) => {
  const { room } = await member(t, "ann", "plain");
  assert.deepEqual([room.info, room.role], [null, null]);
  await assert.rejects(within("the refusal", room.set({ title: "Plain" })), { code: "NOT_FOUND", retryable: false });
  await assert.rejects(within("the refusal", room.addMember("bob")), { code: "NOT_FOUND" });
  await within("a send", room.send("hello"));
  const creation = user(t, "ann").parlor.createRoom("plain");
  await assert.rejects(within("the refusal", creation), { code: "FORBIDDEN", retryable: false });
});

test("a room is created once, and its creator is the owner", async (t) => {
  const [ann, bob] = [user(t, "ann"), user(t, "bob")];
  const metadata = { topic: 7 };
  const info = { title: "Tea & cake", metadata, access: "open" };
  assert.deepEqual(await within("the creation", ann.parlor.createRoom("tea", { title: "Tea & cake", metadata })), info);
  await assert.rejects(within("the refusal", bob.parlor.createRoom("tea")), (refusal) => {
    assert.deepEqual([refusal.code, refusal.retryable, refusal.current], ["CONFLICT", false, info]);
    return true;
  });
  const [hers, his] = [await within("a join", ann.parlor.joinRoom("tea")), await within("a join", bob.parlor.joinRoom("tea"))];
  assert.deepEqual([hers.info, hers.role], [info, "owner"]);
  assert.deepEqual([his.info, his.role], [info, null]);
  await assert.rejects(within("the refusal", his.set({ title: "Mine" })), { code: "FORBIDDEN" });
});

test("nobody but the members learns the title of a room for members only", async (t) => {
  const [ann, eve] = [user(t, "ann"), user(t, "eve")];
  await within("the creation", ann.parlor.createRoom("secret", { title: "Surprise", access: "members", members: ["bob"] }));
  await assert.rejects(within("the refusal", eve.parlor.createRoom("secret")), (refusal) => {
    assert.deepEqual([refusal.code, refusal.current], ["CONFLICT", { access: "members" }]);
    return true;
  });
  await assert.rejects(within("the refusal", eve.parlor.joinRoom("secret")), { code: "FORBIDDEN", retryable: false });
  const { room } = await member(t, "bob", "secret");
  assert.deepEqual([room.info, room.role], [{ title: "Surprise", access: "members" }, "member"]);
});

test("new settings are told to everyone in the room, and known after an absence", async (t) => {
  await within("the creation", user(t, "ann").parlor.createRoom("news", { title: "one", metadata: { a: 1 } }));
  const [ann, bob, cid] = [await member(t, "ann", "news"), await member(t, "bob", "news"), await member(t, "cid", "news")];
  const told = heard(bob.room, "info");
  assert.equal((await within("the change", ann.room.set({ title: "two" }))).title, "two");
  assert.deepEqual(await told, { title: "two", metadata: { a: 1 }, access: "open" });
  // The connection breaks without a word, and something happens meanwhile.
  cid.socket.io.engine.close();
  await within("the change", ann.room.set({ title: "", metadata: {} }));
  const { seq } = await within("a send", ann.room.send("hello"));
  await within("a change", ann.room.edit(seq, "hi"));
  for (const { room } of [ann, bob, cid]) {
    await until(() => JSON.stringify(room.info), () => room.info.title === undefined);
    assert.deepEqual(room.info, { access: "open" });
    await until(() => JSON.stringify(room.messages), () => room.messages.at(-1)?.message === "hi");
  }
  const infos = [];
  bob.room.on("info", (info) => infos.push(info));
  await within("the same again", ann.room.set({ title: "", access: "open" }));
  await within("the change", ann.room.set({ title: "three" }));
  await until(() => JSON.stringify(infos), () => infos.at(-1)?.title === "three");
  assert.equal(infos.length, 1);
});

test("members are added, get other roles, and are listed", async (t) => {
  await within("the creation", user(t, "ann").parlor.createRoom("club", { members: ["bob", "cid"] }));
  const [ann, bob] = [await member(t, "ann", "club"), await member(t, "bob", "club")];
  await assert.rejects(within("the refusal", bob.room.addMember("dot")), { code: "FORBIDDEN" });
  assert.equal(await within("a promotion", ann.room.addMember("bob", "moderator")), true);
  assert.equal(await within("the same again", ann.room.addMember("bob", "moderator")), false);
  assert.equal(await within("an addition", bob.room.addMember("dot")), true);
  await assert.rejects(within("the refusal", bob.room.addMember("dot", "owner")), { code: "FORBIDDEN" });
  assert.equal(await within("a removal", bob.room.removeMember("cid")), true);
  const members = await within("the members", ann.room.getMembers());
  const byName = Object.fromEntries(members.map(({ userId, role }) => [userId, role]));
  assert.deepEqual([members.length, byName], [3, { ann: "owner", bob: "moderator", dot: "member" }]);
  assert.equal((await member(t, "bob", "club")).room.role, "moderator");
});

test("a list of many members is read to its end", async (t) => {
  const members = Array.from({ length: 100 }, (_, number) => `member ${number}`);
  await within("the creation", user(t, "ann").parlor.createRoom("many", { members }));
  const { room } = await member(t, "ann", "many");
  for (let number = 100; number < 130; number += 1) await within("an addition", room.addMember(`member ${number}`));
  const listed = await within("the members", room.getMembers());
  assert.equal(new Set(listed.map(({ userId }) => userId)).size, 131);
});

test("a removal ends the room at once and for good", async (t) => {
  await within("the creation", user(t, "ann").parlor.createRoom("out", { members: ["bob"] }));
  const [ann, bob] = [await member(t, "ann", "out"), await member(t, "bob", "out")];
  const another = await within("a join", bob.parlor.joinRoom("out"));
  const [states, messages] = [[], []];
  bob.room.on("state", (state) => states.push(state));
  bob.room.on("message", ({ message }) => messages.push(message));
  const ends = [bob.room, another].map((room) => heard(room, "closed"));
  assert.equal(await within("the removal", ann.room.removeMember("bob")), true);
  await within("a send", ann.room.send("without bob"));
  for (const end of ends) {
    const { code, message, retryable } = await end;
    assert.deepEqual([code, retryable], ["FORBIDDEN", false]);
    assert.match(message, /removed from this room/);
  }
  await assert.rejects(within("the refusal", bob.room.send("late")), { code: "FORBIDDEN" });
  await assert.rejects(within("the refusal", bob.parlor.joinRoom("out")), { code: "FORBIDDEN", retryable: false });
  // Long enough for attempts to come back: there are none.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual([states, messages, bob.room.state, another.state], [["closed"], [], "closed", "closed"]);
  assert.deepEqual([...ann.room.members], ["ann"]);

  assert.equal(await within("the return", ann.room.addMember("bob")), true);
  const again = await within("the join", bob.parlor.joinRoom("out"));
  assert.equal((await within("a send", again.send("back"))).message, "back");
});

test("one who is removed while away is not let in again", async (t) => {
  await within("the creation", user(t, "ann").parlor.createRoom("away", { members: ["bob"] }));
  const [ann, bob] = [await member(t, "ann", "away"), await member(t, "bob", "away")];
  const closed = heard(bob.room, "closed");
  bob.socket.io.reconnection(false);
  bob.socket.io.engine.close();
  const fate = assert.rejects(within("the fate", bob.room.send("unsent")), (refusal) => ["FORBIDDEN", "UNAVAILABLE"].includes(refusal.code));
  await within("the removal", ann.room.removeMember("bob"));
  bob.socket.io.reconnection(true);
  bob.socket.connect();
  assert.equal((await closed).code, "FORBIDDEN");
  await fate;
  assert.deepEqual(ann.room.messages, []);
});

test("others than members are put out of a room that closes, and members may leave", async (t) => {
  await within("the creation", user(t, "ann").parlor.createRoom("closing", { members: ["bob"] }));
  const [ann, bob, eve] = [await member(t, "ann", "closing"), await member(t, "bob", "closing"), await member(t, "eve", "closing")];
  const closed = heard(eve.room, "closed");
  await within("the change", ann.room.set({ access: "members" }));
  const { code, message } = await closed;
  assert.deepEqual([code, /members only/.test(message)], ["FORBIDDEN", true]);
  await until(() => bob.room.info.access, () => bob.room.info.access === "members");
  assert.equal(bob.room.state, "joined");
  const end = heard(bob.room, "closed");
  assert.equal(await within("the removal", bob.room.removeMember("bob")), true);
  assert.equal((await end).code, "FORBIDDEN");
});

test("the list of rooms shows titles, live", async (t) => {
  const [ann, bob] = [user(t, "ann"), user(t, "bob")];
  const list = bob.parlor.rooms();
  const titles = () => JSON.stringify(list.rooms.map(({ roomId, title }) => [roomId, title]).filter(([roomId]) => roomId.startsWith("list")));
  await within("the creation", ann.parlor.createRoom("list 1", { title: "One", members: ["bob"] }));
  await until(titles, () => titles() === JSON.stringify([["list 1", "One"]]));
  const room = await within("a join", ann.parlor.joinRoom("list 1"));
  await within("the change", room.set({ title: "First" }));
  await until(titles, () => titles() === JSON.stringify([["list 1", "First"]]));
  const later = user(t, "bob").parlor.rooms();
  await until(() => JSON.stringify(later.rooms), () => later.rooms.some(({ title }) => title === "First"));
});
