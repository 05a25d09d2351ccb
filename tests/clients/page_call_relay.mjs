/**
 * Calls by a relay alone: `node page_call_relay.mjs URL OTHER_URL RELAY_PORT CUT_PORT`.
 *
 * The servers share a database. The first one tells its clients the relay itself, the other one CUT_PORT, which this script leads to
 * RELAY_PORT by a network that it cuts.
 */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { launch } from "./browser.mjs";
import { CALLS, Caller, allReceive } from "./calls.mjs";
import { startCut } from "./cut.mjs";

const [, , here, there, relayPort, cutPort] = argv;
const CUT_MS = 10_000;
const RELAYED = { iceTransportPolicy: "relay" };

const browser = await launch({ after }, CALLS);

test("media come by the relay, and come back after the network of one was cut for ten seconds", async (t) => {
  const relay = await startCut(t, Number(relayPort), Number(cutPort));
  const server = await startCut(t, new URL(there).port);
  const pair = await Promise.all([
    Caller.at(t, browser, here, "ann", "relay", { configuration: RELAYED }),
    Caller.at(t, browser, `http://127.0.0.1:${server.port}`, "bob", "relay", { configuration: RELAYED }),
  ]);
  const [ann, bob] = pair;
  await ann.calls(bob);
  await allReceive(pair);
  await ann.page.getByLabel("Statistics: bob").click();
  await ann.sees("dd", "by a relay");
  const made = await Promise.all(pair.map(connections));

  relay.cut();
  server.cut();
  await pause(CUT_MS);
  relay.mend();
  server.mend();
  await bob.connected();
  await allReceive(pair);
  assert.deepEqual(await Promise.all(pair.map(connections)), made, "the connections were made anew, and not restarted");
  for (const one of pair) assert.equal(await one.page.locator(".tile").count(), 2);
});

/** Returns the number of connections that a page has made. */
const connections = ({ page }) => page.evaluate(() => window.connections.length);
