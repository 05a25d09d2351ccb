/** The rules of `parlor-call.js` that need no browser: `node parlor_call_rules.mjs`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { endOf, traceOf, troubledDevices } from "../../static/call-words.js";
import { Calls } from "../../static/parlor-call.js";
import { Devices } from "../../static/parlor-devices.js";
import { stateOutside } from "../../static/parlor-party.js";
import { Peer } from "../../static/parlor-peer.js";
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

test("a refusal at half of the servers' life is not the last word", async (t) => {
  const { counts, servers } = asked(t, (time) => {
    if (time === 2) throw new Error("refused");
    if (time === 3) throw Object.assign(new Error("too many"), { retryAfterMs: 20_000 });
    return { iceServers: [], expiresAt: new Date(Date.now() + HOUR_MS).toISOString() };
  });
  await servers.refresh();
  for (const [pause, expected] of [[HOUR_MS / 2, 2], [60_000, 3], [20_000, 4], [HOUR_MS / 2, 5]]) {
    t.mock.timers.tick(pause - 1);
    await settled();
    assert.equal(counts.asked, expected - 1);
    t.mock.timers.tick(1);
    await settled();
    assert.equal(counts.asked, expected);
  }
});

/** Replaces a global for a test. */
function replace(t, name, value) {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true });
  t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
}

/** Devices whose requests a test answers. */
function slowDevices(t) {
  const requests = [];
  const tracks = [];
  const request = (wanted) => new Promise((resolve, reject) => {
    const grant = () => {
      const made = Object.keys(wanted).map((kind) => Object.assign(new EventTarget(), { kind, enabled: true, on: true, stop: () => {} }));
      for (const track of made) track.stop = () => (track.on = false);
      tracks.push(...made);
      resolve({ getTracks: () => made });
    };
    requests.push({ kinds: Object.keys(wanted).join(), grant, refuse: () => reject(new Error("refused")) });
  });
  replace(t, "navigator", { mediaDevices: { getUserMedia: request, getDisplayMedia: request } });
  return { devices: new Devices({}, () => {}), requests, tracks };
}

test("a device that opens late follows the user's last words, and is asked for once", async (t) => {
  const { devices, requests, tracks } = slowDevices(t);
  const opened = devices.open({ audio: true, video: true });
  const again = [devices.mute(false), devices.camera(true)];
  await devices.mute(true);
  await devices.camera(false);
  requests[0].grant();
  await Promise.all([opened, ...again]);
  assert.equal(requests.length, 1);
  assert.deepEqual(tracks.map(({ on, enabled }) => [on, enabled]), [[true, false], [false, true]]);
  assert.deepEqual(devices.sends, { audio: false, video: false, screen: false });
  await devices.mute(false);
  const camera = devices.camera(true);
  await devices.camera(false);
  devices.camera(true);
  const screen = devices.shareScreen(true);
  devices.shareScreen(true);
  await devices.shareScreen(false);
  assert.equal(requests.length, 3);
  for (const { grant } of requests.slice(1)) grant();
  await Promise.all([camera, screen]);
  assert.deepEqual(devices.sends, { audio: true, video: true, screen: false });
  assert.deepEqual(tracks.map(({ on }) => on), [true, false, true, false]);
});

test("devices that are refused together are asked for one by one, if they are still wanted", async (t) => {
  const { devices, requests } = slowDevices(t);
  const opened = devices.open({ audio: true, video: true });
  await devices.camera(false);
  requests[0].refuse();
  await settled();
  requests[1].refuse();
  await opened;
  assert.deepEqual(requests.map(({ kinds }) => kinds), ["audio,video", "audio"]);
  assert.deepEqual(devices.troubles, { audio: "busy" });
  devices.mute(false);
  devices.close();
  requests[2].refuse();
  await settled();
  assert.deepEqual(devices.troubles, {});
});

/** The calls of ann's tab in a room whose answers a test gives. */
function slowCalls() {
  const listeners = {};
  const asked = [];
  const party = (partyId, userId) => ({ partyId, userId });
  const call = { callId: "c", state: "active", startedBy: "bob", parties: [party("1", "ann"), party("2", "bob")] };
  const room = { userId: "ann", state: "joined", info: { call }, on: (event, listener) => (listeners[event] = listener) };
  room.ask = (event, payload) => new Promise((resolve, reject) => asked.push({ event, payload, resolve, reject }));
  const setState = (state) => listeners.state((room.state = state));
  return { calls: new Calls(room, { partyId: "1", mesh: false }), room, call, asked, listeners, setState };
}

/** Joins, loses the connection, and hangs up before the server has answered the party that comes back. */
async function hungUpComingBack() {
  const all = slowCalls();
  const { calls, asked, call, setState } = all;
  const joined = calls.join({});
  await settled();
  asked[0].resolve({ call });
  await joined;
  setState("joining");
  setState("joined");
  calls.leave();
  return all;
}

test("who hangs up while the client comes back does not stay in the call", async () => {
  const { calls, asked, call } = await hungUpComingBack();
  asked[1].resolve({ call });
  await settled();
  assert.deepEqual(asked.map(({ event }) => event), ["joinCall", "joinCall", "leaveCall", "leaveCall"]);
  asked[3].reject(new Error("the call is over"));
  await settled();
  assert.equal(calls.state, "ongoing");
});

test("who joins again at once stays in the call, whatever answers come late", async () => {
  const { calls, asked, call } = await hungUpComingBack();
  calls.join({});
  await settled();
  asked[1].resolve({ call });
  asked[3].resolve({ call });
  await settled();
  assert.deepEqual(asked.map(({ event }) => event), ["joinCall", "joinCall", "leaveCall", "joinCall"]);
  assert.equal(calls.state, "joined");
});

test("nobody but its user speaks for a party", () => {
  const { calls, listeners } = slowCalls();
  const taken = [];
  calls.parties.set("2", { userId: "bob", take: ({ from }) => taken.push(from) });
  for (const [userId, partyId] of [["bob", "2"], ["eve", "2"], ["bob", "3"], ["bob", undefined]]) {
    listeners.signal({ type: "rtc", userId, partyId, data: { from: userId } });
  }
  assert.deepEqual(taken, ["bob"]);
});

/** A connection whose steps a test settles. */
class SlowConnection extends EventTarget {
  static made = [];
  signalingState = "stable";
  steps = [];

  constructor() {
    super();
    SlowConnection.made.push(this);
  }

  step() {
    return new Promise((resolve, reject) => this.steps.push({ resolve, reject }));
  }

  setLocalDescription = this.step;
  setRemoteDescription = this.step;
  addTransceiver() {}
  setConfiguration() {}
  close() {}
}

test("a new connection owes nothing to the steps of the one before", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  replace(t, "RTCPeerConnection", SlowConnection);
  replace(t, "MediaStream", class {});
  const { made } = SlowConnection;
  const sent = [];
  const failures = [];
  const peer = new Peer("bob", {
    polite: false,
    send: (data) => sent.push(data) > 0,
    refresh: async () => {},
    configuration: () => ({}),
    media: () => ({ sends: {}, tracks: {} }),
    changed: () => {},
    failed: ({ message }) => failures.push(message),
  });
  t.after(() => peer.close());
  const take = async (from, more) => {
    peer.take({ from, to: sent.at(-1).from, ...more });
    await settled();
  };
  const negotiate = async (connection) => {
    connection.dispatchEvent(new Event("negotiationneeded"));
    await settled();
  };
  await take("b1");
  await negotiate(made[0]);
  made[0].steps[0].reject(new Error("first"));
  await take("b1", { description: { type: "offer" } });
  assert.equal(made[0].steps.length, 2);
  t.mock.timers.tick(3_000);
  await settled();
  assert.equal(made.length, 2);
  // The description is never set, and yet later signals are taken.
  await take("b2");
  assert.equal(made.length, 3);
  await negotiate(made[2]);
  await take("b3");
  made[2].steps[0].reject(new Error("late"));
  await settled();
  assert.deepEqual(failures, ["first"]);
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
  for (const metadata of [undefined, {}, { call: null }, { call: "left" }, { call: { outcome: "toString" } }, { call: { outcome: 1 } }, { call: ["left"] }]) {
    assert.equal(traceOf(metadata, true), null);
  }
  for (const durationMs of [JSON.parse("1e400"), 1e308, "185000", {}, null]) {
    assert.deepEqual(traceOf({ call: { outcome: "left", durationMs, media: ["video"] } }, true), { text: "Call", length: "", isVideo: false, isMissed: false });
  }
});
