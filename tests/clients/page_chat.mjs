/** Two people on the page: `node page_chat.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { within } from "./harness.mjs";
import { PHONE, Visitor } from "./page.mjs";

const browser = await launch({ after });

test("two browsers chat in a room and find its history after a reload", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "tea");
  const bob = await Visitor.join(t, browser, "bob", "tea", { viewport: PHONE });
  const said = [];
  const says = async (visitor, text) => {
    said.push([visitor.name, text]);
    await visitor.say(text);
    for (const each of [ann, bob]) assert.deepEqual(await each.conversation(said.length), said);
  };

  await says(ann, "Hello, who is there?");
  await says(bob, "Me");
  await says(ann, "One\nmore");
  await within("the upgrade to WebSocket", Promise.all([ann.upgraded, bob.upgraded]));
  await Promise.all([ann.connected("WebSocket"), bob.connected("WebSocket")]);

  await bob.page.reload();
  await bob.connected();
  assert.deepEqual(await bob.conversation(3), said);
  await says(bob, "back again");
  for (const { page, complaints } of [ann, bob]) {
    assert.equal(await page.title(), "tea · Parlor");
    assert.deepEqual(complaints, []);
  }
});

test("a browser without WebSocket chats by polling", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "polling", { init: () => delete window.WebSocket });
  const bob = await Visitor.join(t, browser, "bob", "polling");
  await bob.connected("WebSocket");
  await ann.say("slowly");
  assert.deepEqual(await bob.texts(1), ["slowly"]);
  await bob.say("fast");
  assert.deepEqual(await ann.texts(2), ["slowly", "fast"]);
  await ann.connected("polling");
});

test("a browser whose WebSockets are cut chats by polling", async (t) => {
  const ann = await Visitor.open(t, browser, "ann", "cut");
  await ann.page.routeWebSocket(/./, (socket) => socket.close());
  await ann.page.reload();
  await ann.enter();
  await ann.say("slowly");
  assert.deepEqual(await ann.texts(1), ["slowly"]);
  await ann.connected("polling");
});
