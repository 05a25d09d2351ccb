/** A page that loses its network: `node page_away.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { POLLING, Visitor } from "./page.mjs";

const browser = await launch({ after });

async function goOffline(visitor) {
  await visitor.context.setOffline(true);
  await visitor.sees("#status", "Offline");
}

async function sayOffline(visitor, text) {
  await visitor.say(text);
  await visitor.sees("#outbox .meta", "Waiting for the connection…");
}

test("one who was offline gets what was said, once, and what they said arrives, once", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "offline");
  const bob = await Visitor.join(t, browser, "bob", "offline");
  await bob.say("before");
  await ann.conversation(1);
  await goOffline(ann);
  await sayOffline(ann, "later");
  await bob.say("missed 1");
  await bob.say("missed 2");
  await bob.conversation(3);

  await ann.context.setOffline(false);
  for (const visitor of [ann, bob]) {
    assert.deepEqual(await visitor.texts(4), ["before", "missed 1", "missed 2", "later"]);
  }
  await ann.connected();
  assert.equal(await ann.page.locator(".away").textContent(), "You were away · 2 new");
  assert.equal(await ann.page.locator(".away + .message .body").textContent(), "missed 1");
  assert.equal(await bob.page.locator(".away").count(), 0);
});

test("messages written offline outlive a reload, and arrive once, in order", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "reload");
  const bob = await Visitor.join(t, browser, "bob", "reload");
  await goOffline(ann);
  await sayOffline(ann, "kept 1");
  await ann.say("kept 2");
  // The page itself loads, and the server's Socket.IO is still out of reach.
  await ann.context.route(POLLING, (route) => route.abort());
  await ann.context.setOffline(false);
  await ann.page.reload();
  await ann.sees("#trouble", "The server cannot be reached. Trying again.");
  assert.equal(await ann.box.isEnabled(), false);
  await ann.context.unroute(POLLING);
  for (const visitor of [ann, bob]) assert.deepEqual(await visitor.texts(2), ["kept 1", "kept 2"]);
  assert.equal(await ann.page.locator("#trouble").isVisible(), false);
  assert.deepEqual(await ann.page.evaluate(() => Object.keys(localStorage)), ["parlorName"]);
});
