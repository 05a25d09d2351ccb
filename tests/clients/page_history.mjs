/**
 * Reading back: `node page_history.mjs URL`.
 *
 * The room "old" has `message 1` to `message 130`, of three days and more; "yesterday" has one message, a day old.
 */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { Visitor } from "./page.mjs";

const COUNT = 130;

const DAY_MS = 86_400_000;

const browser = await launch({ after });

const texts = (from) => Array.from({ length: COUNT + 1 - from }, (_, place) => `message ${from + place}`);

test("scrolling up shows all that was said, in order, once, and keeps the view in its place", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "old");
  assert.deepEqual(await ann.texts(50), texts(81));
  const top = await scrollUp(ann, 81);
  assert.deepEqual(await ann.texts(100), texts(31));
  assert.equal(await topOf(ann, 81), top);
  await scrollUp(ann, 31);
  assert.deepEqual(await ann.texts(COUNT), texts(1));
  await ann.sees("#beginning", "This is where old begins.");
  assert.equal(await ann.page.locator("#older").isVisible(), false);
});

/** Scrolls to the first message shown, and returns its new position. */
async function scrollUp(visitor, first) {
  await visitor.page.locator("#scroll").evaluate((scroll) => (scroll.scrollTop = 0));
  return topOf(visitor, first);
}

function topOf({ page }, seq) {
  return page.locator(`[data-seq="${seq}"] .bubble`).evaluate((bubble) => Math.round(bubble.getBoundingClientRect().top));
}

test("asking twice for earlier messages shows them once", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "old");
  await ann.texts(50);
  await ann.page.locator("#older").evaluate((older) => [older, older].forEach((each) => each.click()));
  assert.deepEqual(await ann.texts(100), texts(31));
  await ann.say("and on");
  assert.deepEqual(await ann.texts(101), [...texts(31), "and on"]);
});

test("each day has its name once, before its first message", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "old");
  await ann.texts(50);
  await scrollUp(ann, 81);
  await ann.texts(100);
  const shown = await ann.messages.evaluateAll((items) =>
    items.map((item) => ({ day: item.querySelector(".day").textContent, at: item.querySelector("time").dateTime })),
  );
  const dates = shown.map(({ at }) => new Date(at).toDateString());
  const begins = dates.map((date, place) => date !== dates[place - 1]);
  assert.deepEqual(shown.map(({ day }) => day !== ""), begins);
  const days = shown.flatMap(({ day }) => day || []);
  assert.equal(new Set(days).size, days.length);
  assert.deepEqual(days.slice(-2), ["Yesterday", "Today"]);
});

test("a day that has passed is not called today any more", async (t) => {
  const ann = await Visitor.open(t, browser, "ann", "yesterday");
  await ann.page.clock.setFixedTime(Date.now() - DAY_MS);
  await ann.enter();
  await ann.sees(".day", "Today");
  await ann.page.clock.setFixedTime(Date.now());
  await ann.say("and on");
  await ann.conversation(2);
  assert.deepEqual(await ann.page.locator(".day").allTextContents(), ["Yesterday", "Today"]);
});
