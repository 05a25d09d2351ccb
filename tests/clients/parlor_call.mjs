/** The connections of `parlor-call.js` in Chromium, while a room's server in the page loses, repeats and reorders signals: `node parlor_call.mjs URL`. */

import test, { after } from "node:test";
import { launch, visit } from "./browser.mjs";
import { installTown } from "./call_town.mjs";
import { CALLS, recording } from "./calls.mjs";
import { url } from "./harness.mjs";

const browser = await launch({ after }, CALLS);

/** Runs a test in a page of its own. */
function inTown(name, act) {
  test(name, async (t) => {
    const { page } = await visit(t, browser, "about:blank");
    await page.addInitScript(recording());
    await page.goto(url);
    await page.evaluate(installTown);
    await page.evaluate(act);
  });
}

inTown("parties of a smaller and of a larger id connect, whoever calls", async () => {
  for (const [caller, callee] of [["1", "2"], ["2", "1"]]) await window.pair(new window.Town(), caller, callee);
});

inTown("parties who send nothing see and hear those who do, and send later", async () => {
  const town = new window.Town();
  const { a, b } = await window.enterPair(town);
  await a.calls.start({});
  await b.calls.join({});
  await window.connected(a, b);
  await a.calls.mute(false);
  await a.calls.camera(true);
  await window.flows(b.calls, "1");
  await b.calls.mute(false);
  await b.calls.camera(true);
  await window.flows(a.calls, "2");
});

inTown("candidates that arrive before their description are kept for it", async () => {
  const town = new window.Town();
  let kept = 0;
  town.pass = (signal, deliver) => {
    if (!signal.data.description) return deliver();
    // The candidates overtake it.
    kept += 1;
    setTimeout(deliver, 400);
  };
  await window.pair(town);
  if (kept < 2) throw new Error(`only ${kept} descriptions were held`);
});

inTown("signals that overtake each other confuse nobody", async () => {
  const town = new window.Town();
  let turn = 0;
  town.pass = (signal, deliver) => setTimeout(deliver, [150, 0, 300, 50][turn++ % 4]);
  const { a, b } = await window.pair(town);
  await Promise.all([a.calls.camera(false), b.calls.mute(true)]);
  await Promise.all([a.calls.camera(true), b.calls.mute(false)]);
  await window.flows(a.calls, "2");
  await window.flows(b.calls, "1");
});

inTown("offers of both sides at once are settled", async () => {
  const town = new window.Town();
  const { a, b } = await window.enterPair(town);
  await a.calls.start({ audio: true });
  await b.calls.join({ audio: true });
  await window.connected(a, b);
  // Signals take a while, so that both offers are on their way.
  town.pass = (signal, deliver) => setTimeout(deliver, 100);
  const before = town.signals.length;
  await Promise.all([a.calls.camera(true), b.calls.camera(true)]);
  await window.flows(a.calls, "2");
  await window.flows(b.calls, "1");
  const offers = town.signals.slice(before).filter(({ data }) => data.description?.type === "offer");
  if (new Set(offers.map(({ from }) => from)).size !== 2) throw new Error("only one side made an offer");
});

inTown("late and repeated answers change nothing", async () => {
  const town = new window.Town();
  town.pass = (signal, deliver) => {
    deliver();
    if (signal.data.description?.type !== "answer") return;
    deliver();
    setTimeout(deliver, 500);
  };
  const { a, b, errors } = await window.pair(town);
  for (let time = 0; time < 3; time++) {
    await a.calls.shareScreen(time % 2 === 0);
    await b.calls.camera(false);
    await b.calls.camera(true);
    window.restart();
    await window.flows(a.calls, "2");
    await window.flows(b.calls, "1");
  }
  if (errors.length > 0) throw errors[0];
});

inTown("what is lost is sent again", async () => {
  const town = new window.Town();
  const seen = new Set();
  town.pass = (signal, deliver) => {
    const kind = [signal.from, Object.keys(signal.data).join()].join();
    if (seen.has(kind)) deliver();
    seen.add(kind);
  };
  await window.pair(town);
});

inTown("a side that is reloaded is recognised, whatever comes late of its earlier page", async () => {
  for (const reloaded of ["1", "2"]) {
    const town = new window.Town();
    const { a, b } = await window.pair(town);
    const [gone, stays] = reloaded === "1" ? [a, b] : [b, a];
    const late = [];
    town.pass = (signal, deliver) => (signal.from === reloaded ? late.push(deliver) : deliver());
    await gone.calls.camera(false);
    await gone.calls.camera(true);
    gone.room.vanish();
    town.pass = (signal, deliver) => deliver();
    const back = town.enter(gone.room.userId, reloaded);
    await window.until(() => back.calls.state === "interrupted", "the state after a reload");
    await back.calls.join({ audio: true, video: true });
    await window.connected(back, stays);
    late.forEach((deliver) => deliver());
    await window.flows(back.calls, stays.room.partyId);
    await window.flows(stays.calls, reloaded);
  }
});

inTown("a connection to the server that breaks and comes back leaves the media alone", async () => {
  const town = new window.Town();
  const { a, b } = await window.pair(town);
  const made = window.connections.length;
  b.room.setState("joining");
  await window.flows(a.calls, "2");
  await b.calls.camera(false);
  await b.calls.camera(true);
  b.room.setState("joined");
  await window.flows(a.calls, "2");
  await window.flows(b.calls, "1");
  if (window.connections.length !== made) throw new Error("there is another connection");
});

inTown("a call that ended while the connection was away has ended here, too", async () => {
  const town = new window.Town();
  const { a, b } = await window.pair(town);
  const ended = new Promise((resolve) => b.calls.on("ended", resolve));
  b.room.setState("joining");
  await a.calls.leave();
  town.change({ state: "ended", parties: [], endedReason: "lost" });
  b.room.setState("joined");
  const { reason } = await ended;
  if (reason !== "lost" || b.calls.state !== "none" || b.calls.parties.size > 0) throw new Error(`${reason} ${b.calls.state}`);
});

inTown("a path that is lost is restored with fresh servers, on the same connection", async () => {
  const town = new window.Town();
  const { a, b } = await window.pair(town);
  const [made, asked] = [window.connections.length, town.asked];
  const later = Date.now() + 60_000;
  Date.now = () => later;
  const [connection] = window.connections;
  const before = connection.localDescription.sdp.match(/ice-ufrag:.*/)[0];
  Object.defineProperty(connection, "connectionState", { get: () => "failed", configurable: true });
  connection.dispatchEvent(new Event("connectionstatechange"));
  delete connection.connectionState;
  Object.defineProperty(connection, "connectionState", { get: () => "disconnected", configurable: true });
  await window.until(() => connection.localDescription.sdp.match(/ice-ufrag:.*/)[0] !== before, "a restart of ICE");
  delete connection.connectionState;
  connection.dispatchEvent(new Event("connectionstatechange"));
  if (town.asked === asked) throw new Error("nobody asked for servers");
  await window.flows(a.calls, "2");
  await window.flows(b.calls, "1");
  if (window.connections.length !== made) throw new Error("there is another connection");
});

inTown("an accepted call is over while the devices are still opened, and they are closed", async () => {
  const town = new window.Town();
  const { a, b } = await window.enterPair(town);
  const opened = [];
  const open = navigator.mediaDevices.getUserMedia;
  await a.calls.start({ audio: true });
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await b.calls.leave();
    const stream = await open(wanted);
    opened.push(stream);
    return stream;
  };
  await b.calls.join({ audio: true, video: true });
  await window.until(() => opened[0]?.getTracks().every(({ readyState }) => readyState === "ended"), "the end of the tracks");
  if (b.calls.state === "joined" || b.calls.stream.getTracks().length > 0) throw new Error(b.calls.state);
});
