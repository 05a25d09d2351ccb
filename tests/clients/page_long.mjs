/**
 * A very long absence: `node page_long.mjs URL`.
 *
 * The room "long" has `message 1` to `message 100`.
 */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { Visitor } from "./page.mjs";

const BEFORE = 100;
const MISSED = 1_500;
/** The most messages on a page that follows the conversation. */
const MOST = 400;

const browser = await launch({ after });

test("after a very long absence only the newest messages are on the page, and all of them by scrolling up", async (t) => {
  const bob = await member(t, "bob", "long");
  const ann = await Visitor.join(t, browser, "ann", "long");
  await ann.conversation(50);
  await ann.context.setOffline(true);
  await ann.sees("#status", "Offline");
  for (let number = 1; number <= MISSED; number += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, place) => bob.send("long", `message ${BEFORE + number + place}`)));
  }
  await ann.context.setOffline(false);
  await ann.sees("#messages li:last-child .body", `message ${BEFORE + MISSED}`);
  const shown = await ann.messages.count();
  assert.ok(shown <= MOST, `${shown} messages are on the page`);
  await ann.page.waitForFunction(() => {
    const scroll = document.querySelector("#scroll");
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 2;
  });

  const from = () => ann.messages.first().evaluate((item) => Number(item.dataset.seq));
  assert.equal(await ann.page.locator("#messages .day").first().isVisible(), true);
  while ((await from()) > 1) {
    const first = await from();
    await ann.page.locator("#scroll").evaluate((scroll) => (scroll.scrollTop = 0));
    await ann.page.waitForFunction((seq) => Number(document.querySelector("#messages .message").dataset.seq) < seq, first);
  }
  assert.deepEqual(await ann.texts(BEFORE + MISSED), Array.from({ length: BEFORE + MISSED }, (_, place) => `message ${place + 1}`));
  await ann.sees("#beginning", "This is where long begins.");
});
