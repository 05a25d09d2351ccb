/** Replies, edits, reactions, read marks and the list of rooms, by hand on the page: `node page_inbox.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { url } from "./harness.mjs";
import { assertUsable } from "./looks.mjs";
import { TOUCH_PHONE, Visitor, picture } from "./page.mjs";

const browser = await launch({ after });

/** Opens the menu of a message, and chooses an action. */
async function choose({ page }, seq, action) {
  await page.locator(`[data-seq='${seq}']`).hover();
  await page.locator(`[data-seq='${seq}'] .more`).click();
  await page.locator(".menu").getByRole("button", { name: action, exact: true }).click();
}

test("two people reply, edit, react, pin and delete by hand", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "hands");
  const bob = await Visitor.join(t, browser, "bob", "hands");
  await ann.say("Shall we meet on Friday?");
  await bob.texts(1);
  await choose(bob, 1, "Reply");
  await bob.sees("#about", "Reply to ann");
  await bob.say("Yes, at noon");
  await ann.sees("[data-seq='2'] .quote", "ann: Shall we meet on Friday?");
  await choose(ann, 1, "Edit");
  await ann.box.fill("Shall we meet on Saturday?");
  await ann.box.press("Enter");
  for (const one of [ann, bob]) {
    await one.sees("[data-seq='1'] .body", "Shall we meet on Saturday?");
    await one.sees("[data-seq='1'] .meta", "edited");
    await one.sees("[data-seq='2'] .quote", "ann: Shall we meet on Saturday?");
  }
  await choose(bob, 1, "👍");
  await ann.sees("[data-seq='1'] .chip", "👍 1");
  await ann.page.locator("[data-seq='1'] .chip").click();
  await bob.sees("[data-seq='1'] .chip", "👍 2");
  await choose(bob, 1, "Pin");
  await ann.sees("[data-seq='1'] .meta", "pinned");
  await picture(ann.page, "changes-own");
  await picture(bob.page, "changes-other");
  await ann.page.locator("[data-seq='1']").hover();
  await ann.page.locator("[data-seq='1'] .more").click();
  await picture(ann.page, "menu");
  await assertUsable(ann.page);
  await ann.page.keyboard.press("Escape");
  assert.equal(await ann.page.locator(".menu").count(), 0);
  await choose(ann, 1, "Delete for everybody");
  for (const one of [ann, bob]) {
    await one.sees("[data-seq='1'] .body", "Message deleted");
    await one.page.reload();
    await one.sees("[data-seq='1'] .body", "Message deleted");
    await one.sees("[data-seq='2'] .quote", "ann: Message deleted");
    assert.equal(await one.page.locator("[data-seq='1'] .more").count(), 0, "nothing is left to do");
  }
});

test("an edit that is cancelled brings the draft back", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "cancel");
  await ann.say("first");
  await ann.texts(1);
  await ann.box.fill("a draft");
  await choose(ann, 1, "Edit");
  assert.equal(await ann.box.inputValue(), "first");
  await ann.box.fill("changed");
  await ann.page.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await ann.box.inputValue(), "a draft");
  assert.deepEqual(await ann.texts(1), ["first"]);
});

test("read marks and unread messages are shown live and after a reload", async (t) => {
  const cleo = await Visitor.join(t, browser, "cleo", "kitchen");
  const dan = await Visitor.join(t, browser, "dan", "kitchen");
  await cleo.say("Soup is ready");
  await dan.texts(1);
  await cleo.sees("#seen", "Seen by dan");
  await cleo.page.reload();
  await cleo.sees("#seen", "Seen by dan");
  // Cleo goes to another room; what Dan writes meanwhile is unread.
  await cleo.page.goto(`${url}/?room=garden`);
  await cleo.enter();
  await cleo.page.locator("#text:enabled").waitFor();
  await dan.say("It gets cold");
  await dan.say("Come");
  await cleo.sees("#rooms-unread", "2");
  await cleo.page.locator("#rooms-button").click();
  await cleo.sees("#room-list li", "kitchen");
  await cleo.sees("#room-list .last", "dan: Come");
  await picture(cleo.page, "rooms");
  await assertUsable(cleo.page);
  await cleo.page.reload();
  await cleo.sees("#rooms-unread", "2");
  await cleo.page.locator("#rooms-button").click();
  await cleo.page.locator("#room-list a", { hasText: "kitchen" }).click();
  assert.deepEqual(await cleo.texts(3), ["Soup is ready", "It gets cold", "Come"]);
  await cleo.sees("#title", "kitchen");
  await dan.sees("#seen", "Seen by cleo");
  await cleo.page.locator("#rooms-button").click();
  await cleo.page.waitForFunction(() => !document.querySelector("#room-list .unread"));
  await cleo.page.getByRole("button", { name: "Mute this room" }).click();
  await cleo.sees("#room-list .tag", "muted");
  await cleo.page.getByRole("button", { name: "Take this room off the list" }).click();
  await cleo.sees("#no-rooms", "Rooms appear here");
});

test("words are found in the user's rooms, and lead to them", async (t) => {
  const eve = await Visitor.join(t, browser, "eve", "recipes");
  await eve.say("Pumpkin soup with ginger");
  await eve.texts(1);
  await eve.page.goto(`${url}/?room=elsewhere`);
  await eve.enter();
  await eve.page.locator("#rooms-button").click();
  const search = eve.page.getByLabel("Search your rooms");
  const found = eve.page.locator("#found li", { hasText: "Pumpkin soup" });
  for (let tries = 0; tries < 40 && (await found.count()) === 0; tries += 1) {
    await search.fill("pump gin");
    await search.press("Enter");
    await eve.page.waitForTimeout(250);
  }
  await picture(eve.page, "search");
  await assertUsable(eve.page);
  await search.fill("dragon");
  await search.press("Enter");
  await eve.sees("#search-result", "Nothing found in your rooms.");
  await search.fill("pumpkin");
  await search.press("Enter");
  await found.locator("a").click();
  await eve.sees("#title", "recipes");
  assert.deepEqual(await eve.texts(1), ["Pumpkin soup with ginger"]);
});

test("a phone shows the menu and the rooms", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "phone", TOUCH_PHONE);
  await ann.box.fill("hello");
  await ann.page.getByRole("button", { name: "Send" }).tap();
  await ann.texts(1);
  await ann.page.locator("[data-seq='1'] .more").tap();
  await ann.page.locator(".menu").waitFor();
  await picture(ann.page, "menu-phone");
  await assertUsable(ann.page);
  await ann.page.locator(".menu").getByRole("button", { name: "❤️" }).tap();
  await ann.sees("[data-seq='1'] .chip", "❤️ 1");
  await ann.page.locator("#rooms-button").tap();
  await ann.sees("#room-list li", "phone");
  await picture(ann.page, "rooms-phone");
  await assertUsable(ann.page);
});
