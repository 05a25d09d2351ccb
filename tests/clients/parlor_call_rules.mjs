/** The rules of `parlor-call.js` that need no browser: `node parlor_call_rules.mjs`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { endOf, traceOf, troubledDevices } from "../../static/call-words.js";
import { stateOutside } from "../../static/parlor-party.js";
import { Servers } from "../../static/parlor-servers.js";
import { TECHNICAL } from "./page.mjs";

const HOUR_MS = 3_600_000;

/** The state of bob's tab with the party `2`. */
const stateFor = (call, room = {}) => stateOutside(call && { callId: "1", ...call }, { userId: "bob", state: "joined", ...room }, "2");

test("a call rings for the users whom it is meant for, until they are in it or have declined", () => {
  const ringing = { state: "ringing", startedBy: "ann", parties: [{ partyId: "1", userId: "ann" }] };
  const also = (userId, partyId) => ({ parties: [...ringing.parties, { partyId, userId }] });
  for (const [state, call] of [
    ["none", null],
    ["none", { ...ringing, state: "ended" }],
    ["ringing", ringing],
    ["ringing", { ...ringing, to: ["bob", "carol"] }],
    ["ongoing", { ...ringing, to: ["carol"] }],
    ["ongoing", { ...ringing, to: [] }],
    ["ringing", { ...ringing, rejectedBy: ["carol"] }],
    ["ongoing", { ...ringing, rejectedBy: ["bob"] }],
    ["ongoing", { ...ringing, startedBy: "bob" }],
    ["ongoing", { ...ringing, state: "active" }],
    ["ringing", { ...ringing, ...also("carol", "3") }],
    ["elsewhere", { ...ringing, ...also("bob", "3") }],
    ["interrupted", { ...ringing, ...also("bob", "2") }],
    ["interrupted", { ...ringing, state: "active", ...also("bob", "2") }],
  ]) {
    assert.equal(stateFor(call), state, JSON.stringify(call));
  }
  assert.equal(stateFor(ringing, { state: "joining" }), "ongoing");
});

/** Starts to ask for servers, which live for an hour; returns the number of answers, and the servers. */
function asked(t, answer = () => ({ iceServers: [], expiresAt: new Date(Date.now() + HOUR_MS).toISOString() })) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const counts = { asked: 0, told: 0, failed: 0 };
  const servers = new Servers(
    async () => {
      counts.asked += 1;
      return answer(counts.asked);
    },
    (error) => (error ? (counts.failed += 1) : (counts.told += 1)),
  );
  t.after(() => servers.close());
  return { counts, servers };
}

/** Lets everything that needs no time happen. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("servers are asked for when they are needed, and again at half of their life", async (t) => {
  const { counts, servers } = asked(t);
  await settled();
  assert.equal(counts.asked, 0);
  await servers.refresh();
  await Promise.all([servers.refresh(), servers.refresh()]);
  assert.equal(counts.asked, 1);
  t.mock.timers.tick(HOUR_MS / 2 - 1_000);
  await settled();
  assert.equal(counts.asked, 1);
  t.mock.timers.tick(1_000);
  await settled();
  assert.deepEqual(counts, { asked: 2, told: 2, failed: 0 });
  await servers.refresh();
  assert.equal(counts.asked, 2);
  t.mock.timers.tick(10_000);
  await servers.refresh();
  assert.equal(counts.asked, 3);
  servers.close();
  t.mock.timers.tick(HOUR_MS);
  await settled();
  assert.equal(counts.asked, 3);
});

test("a local clock that is wrong makes no flood of requests", async (t) => {
  const { counts, servers } = asked(t, () => ({ iceServers: [], expiresAt: new Date(Date.now() - HOUR_MS).toISOString() }));
  await servers.refresh();
  for (let second = 0; second < 120; second++) {
    t.mock.timers.tick(1_000);
    await settled();
  }
  assert.equal(counts.asked, 3);
});

test("a call goes on without an answer, and with the present servers after a refusal", async (t) => {
  let list = [{ urls: ["turn:relay.example"] }];
  const { counts, servers } = asked(t, (time) => {
    if (time === 2) throw new Error("refused");
    return time === 3 ? new Promise(() => {}) : { iceServers: list };
  });
  await servers.refresh();
  for (const time of [2, 3]) {
    t.mock.timers.tick(10_000);
    const refreshed = servers.refresh();
    await settled();
    t.mock.timers.tick(3_000);
    await refreshed;
    assert.equal(counts.asked, time);
    assert.deepEqual(servers.list, list);
  }
  assert.equal(counts.failed, 1);
});

test("devices that do not work are told in sentences without technical words", () => {
  assert.equal(troubledDevices({}), "");
  assert.equal(troubledDevices({ screen: "refused" }), "");
  for (const reason of ["missing", "refused", "busy", "unavailable"]) {
    for (const troubles of [{ audio: reason }, { video: reason }, { audio: reason, video: reason }, { audio: reason, video: "busy" }]) {
      const text = troubledDevices(troubles);
      assert.match(text, /^[A-Z].*\.$/);
      assert.doesNotMatch(text, TECHNICAL);
    }
  }
});

test("every end of a call has words", () => {
  const contract = readFileSync(new URL("../../static/parlor.d.ts", import.meta.url), "utf8");
  const type = /export type CallEnd =([\s\S]*?)";\n/.exec(contract)[1];
  const reasons = [...`${type}"`.matchAll(/\| "([a-z]+)"/g)].map(([, reason]) => reason);
  assert.equal(reasons.length, 6);
  for (const reason of [...reasons, "hungUp", "dropped"]) assert.match(endOf({ reason }), /\.$/);
  for (const outcome of reasons) assert.ok(traceOf({ call: { outcome, media: "audio" } }, true).text);
});

test("the trace of a call tells each side its own story, and nothing else is one", () => {
  const text = (call, own) => traceOf({ call: { media: "audio", ...call } }, own)?.text;
  assert.deepEqual([text({ outcome: "missed" }, false), text({ outcome: "missed" }, true)], ["Missed call", "No answer"]);
  assert.deepEqual([text({ outcome: "cancelled", media: "video" }, false), text({ outcome: "left", media: "video" }, true)], ["Missed video call", "Video call"]);
  assert.equal(traceOf({ call: { outcome: "left", durationMs: 185_000 } }, true).length, "3 min 5 s");
  for (const metadata of [undefined, {}, { call: null }, { call: "left" }, { call: { outcome: "toString" } }, { call: { outcome: 1 } }]) {
    assert.equal(traceOf(metadata, true), null);
  }
});
