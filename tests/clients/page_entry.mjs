/** The form, and the ways into a room and out of it: `node page_entry.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { PHONE, Visitor } from "./page.mjs";

/** 130 bytes in fewer characters than the form's limit. */
const TOO_LONG = "é".repeat(65);

const browser = await launch({ after });

/** Waits until the form is filled in, which focuses a field, and returns its fields. */
async function form({ page }) {
  await page.locator("#join-form :focus").waitFor();
  return [await page.getByLabel("Your name").inputValue(), await page.getByLabel("Room", { exact: true }).inputValue()];
}

test("a link leads into its room, and the room has the link", async (t) => {
  const permissions = ["clipboard-read", "clipboard-write"];
  const ann = await Visitor.open(t, browser, "ann", "tea & cake?", { permissions });
  assert.deepEqual(await form(ann), ["", "tea & cake?"]);
  await ann.enter();
  await ann.sees("#title", "tea & cake?");
  const bob = await Visitor.open(t, browser, "bob", "other");
  await ann.page.getByRole("button", { name: "Copy link" }).click();
  await ann.page.getByRole("button", { name: "Link copied" }).waitFor();
  await bob.page.goto(await ann.paste());
  assert.deepEqual(await form(bob), ["", "tea & cake?"]);
});

test("one who leaves is back at the form, which remembers the name", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "tea");
  await ann.page.getByRole("button", { name: "Leave" }).click();
  assert.deepEqual(await form(ann), ["ann", "tea"]);
  assert.deepEqual([await ann.page.locator("#chat").isVisible(), await ann.page.title()], [false, "Parlor"]);
  await ann.enter();
});

for (const [what, name, room] of [["name", TOO_LONG, "tea"], ["room", "ann", TOO_LONG]]) {
  test(`a ${what} that the server refuses leads back to the form, which says why, once`, async (t) => {
    const visitor = await Visitor.open(t, browser, name, room);
    await visitor.submitForm();
    await visitor.sees("#refusal", "must be 1 to 128 bytes");
    assert.deepEqual(await form(visitor), [name, room]);
    await visitor.page.reload();
    await form(visitor);
    assert.equal(await visitor.page.locator("#refusal").isVisible(), false);
  });
}

test("the keyboard is enough", async (t) => {
  const { page, ...ann } = await Visitor.open(t, browser, "ann", "keys", { viewport: PHONE });
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
    const focused = page.locator(":focus");
    assert.notEqual(await focused.evaluate((element) => getComputedStyle(element).outlineStyle), "none");
    return focused.getAttribute("id");
  };
  await page.waitForFunction(() => document.activeElement.id === "name");
  await page.keyboard.type("ann");
  assert.equal(await press("Tab"), "room");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "text");
  await page.keyboard.type("hello");
  await page.keyboard.press("Enter");
  await ann.messages.waitFor();

  assert.equal(await press("Tab"), "send");
  // Before the box is the message's menu.
  assert.equal(await press("Shift+Tab", "Shift+Tab", "Shift+Tab"), "scroll");
  assert.equal(await press("Shift+Tab"), "leave");
  assert.equal(await press("Shift+Tab", "Enter"), "members-button");
  assert.equal(await page.locator("#members").isVisible(), true);
  assert.equal(await press("Tab", "Escape"), "members-button");
  assert.equal(await page.locator("#members").isVisible(), false);
});

for (const [what, init] of [["is full", fillStorage], ["is forbidden", forbidStorage]]) {
  test(`one whose browser's storage ${what} chats`, async (t) => {
    const ann = await Visitor.join(t, browser, "ann", what, { init });
    await ann.say("hello");
    assert.deepEqual(await ann.texts(1), ["hello"]);
    assert.deepEqual(ann.complaints, []);
  });
}

function fillStorage() {
  for (let size = 2 ** 23; size >= 1; size /= 2) {
    try {
      localStorage[`full ${size}`] = "x".repeat(size);
    } catch {
      // The next smaller part may fit.
    }
  }
}

function forbidStorage() {
  const get = () => {
    throw new DOMException("forbidden", "SecurityError");
  };
  Object.defineProperty(window, "localStorage", { get });
}

test("a page without the Socket.IO client says so", async (t) => {
  const ann = await Visitor.open(t, browser, "ann", "tea");
  await ann.page.route("**/socket.io.min.js", (route) => route.abort());
  await ann.page.reload();
  await ann.sees("#refusal", "the Socket.IO client did not load");
});
