/** The page's words about a room and its messages: `node page_room.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { Visitor } from "./page.mjs";

const browser = await launch({ after });

test("the page says who is there and who is typing", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "who");
  await ann.sees("#members-button", "1 member");
  const bob = await Visitor.join(t, browser, "bob", "who");
  await ann.sees("#members-button", "2 members");
  assert.deepEqual(await ann.page.locator("#member-list .name").allTextContents(), ["ann", "bob"]);
  await ann.sees("#member-list li:first-child .tag", "you");

  await bob.box.pressSequentially("hm");
  await ann.sees("#typing", "bob is typing…");
  await bob.box.press("Enter");
  await ann.page.waitForFunction(() => document.querySelector("#typing").textContent === "");
  assert.deepEqual(await ann.texts(1), ["hm"]);

  await bob.page.getByRole("button", { name: "Leave" }).click();
  await bob.page.getByRole("button", { name: "Join" }).waitFor();
  await ann.sees("#members-button", "1 member");
});

test("the title counts what has not been read", async (t) => {
  const room = "unread";
  const ann = await Visitor.join(t, browser, "ann", room);
  const bob = await Visitor.join(t, browser, "bob", room);
  const titled = (title) => ann.page.waitForFunction((expected) => document.title === expected, title);
  const lines = Array.from({ length: 40 }, (_, line) => `line ${line}`).join("\n");
  await bob.say(lines);
  await ann.conversation(1);
  assert.equal(await ann.page.title(), "unread · Parlor");

  await setVisibility(ann.page, "hidden");
  await bob.say("psst");
  await titled("(1) unread · Parlor");
  await setVisibility(ann.page, "visible");
  await titled("unread · Parlor");

  await ann.page.locator("#scroll").evaluate((scroll) => (scroll.scrollTop = 0));
  await ann.page.getByRole("button", { name: "Newest messages" }).waitFor();
  await bob.say("hey");
  await bob.say("ann?");
  await titled("(2) unread · Parlor");
  await ann.page.getByRole("button", { name: "2 new messages" }).click();
  await titled("unread · Parlor");
  assert.equal(await ann.page.locator("#newest").isVisible(), false);
});

/** Headless pages are always visible. */
async function setVisibility(page, state) {
  await page.evaluate((value) => {
    Object.defineProperty(document, "visibilityState", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

test("a message that the server refuses can be edited and sent, and sent again as it is", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "refused");
  const tooLong = "ö".repeat(4_097);
  await ann.say(tooLong);
  await ann.sees("#outbox .failed .meta", "Not sent: ");
  await ann.say("short");
  await ann.sees("#messages .body", "short");

  await ann.outbox.evaluate((item) => item.classList.add("before"));
  await ann.page.getByRole("button", { name: "Try again" }).click();
  assert.equal(await ann.box.evaluate((box) => box === document.activeElement), true);
  await ann.sees("#outbox .failed:not(.before) .meta", "Not sent: ");
  await ann.page.getByRole("button", { name: "Edit" }).click();
  assert.equal(await ann.box.inputValue(), tooLong);
  assert.equal(await ann.outbox.count(), 0);
  await ann.say(tooLong.slice(1));
  assert.deepEqual(await ann.texts(2), ["short", tooLong.slice(1)]);
});

test("addresses become links, without what only ends the sentence", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "links");
  const text = "See https://example.com/tea_(drink), (http://example.com/a?b=c&d#e) or ftp://example.com: https://example.com!";
  await ann.say(text);
  assert.deepEqual(await ann.texts(1), [text]);
  assert.deepEqual(await ann.page.locator("#messages a").allTextContents(), [
    "https://example.com/tea_(drink)",
    "http://example.com/a?b=c&d#e",
    "https://example.com",
  ]);
});
