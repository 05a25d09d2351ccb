/** The page before its scripts have loaded: `node page_early.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { url } from "./harness.mjs";
import { Visitor } from "./page.mjs";

const SCRIPTS = /\.js$/;

const browser = await launch({ after });

/** Opens the page with its scripts held back, and returns the function that releases them. */
async function slowVisitor(t, name, room, { stored } = {}) {
  const visitor = await Visitor.open(t, browser, name, room);
  if (stored) await visitor.page.evaluate((kept) => localStorage.setItem("parlorName", kept), stored);
  let letGo;
  const free = new Promise((done) => (letGo = done));
  await visitor.page.route(SCRIPTS, async (route) => {
    await free;
    await route.continue();
  });
  await visitor.page.reload({ waitUntil: "commit" });
  return [visitor, letGo];
}

for (const [what, stored] of [["nothing", ""], ["another name", "old name"]]) {
  test(`text typed before the scripts have loaded is kept, where the browser remembers ${what}`, async (t) => {
    const [ann, letGo] = await slowVisitor(t, "ann", "tea", { stored });
    const [name, room] = [ann.page.getByLabel("Your name"), ann.page.getByLabel("Room", { exact: true })];
    await name.pressSequentially("ann");
    await room.pressSequentially("cake");
    await name.focus();
    await name.press("Enter");
    letGo();
    await ann.page.locator("#join-form button:enabled").waitFor();
    assert.deepEqual([await name.inputValue(), await room.inputValue()], ["ann", "cake"]);
    assert.equal(await ann.page.evaluate(() => document.activeElement.id), "name");
    await ann.page.keyboard.type("a");
    await ann.page.keyboard.press("Enter");
    await ann.connected();
    await ann.sees("#title", "cake");
    await ann.page.locator("#member-list .name").waitFor({ state: "attached" });
    assert.deepEqual(await ann.page.locator("#member-list .name").allTextContents(), ["anna"]);
    assert.deepEqual(ann.complaints, []);
  });
}

test("all scripts are asked for by the page itself, not one after the other by those before them", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "tea");
  const { loaded, preloaded } = await ann.page.evaluate(() => ({
    loaded: performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => name.endsWith(".js")),
    preloaded: [...document.querySelectorAll("link[rel=modulepreload], script")].map(({ href, src }) => href ?? src),
  }));
  assert.ok(loaded.length > 5, loaded.join(" "));
  assert.deepEqual(loaded.sort(), preloaded.sort());
  assert.deepEqual(ann.complaints, []);
});

test("a reload in a room does not show the form", async (t) => {
  const init = () => {
    window.formSeen = false;
    const look = () => {
      const form = document.querySelector("#join-form");
      window.formSeen ||= form?.checkVisibility({ visibilityProperty: true, opacityProperty: true }) ?? false;
      requestAnimationFrame(look);
    };
    look();
  };
  const ann = await Visitor.join(t, browser, "ann", "tea", { init });
  assert.equal(await ann.page.evaluate(() => window.formSeen), true);
  // On a machine that is busy, the scripts may be late, and then the form is right.
  let isSeen = true;
  for (let reloads = 0; isSeen && reloads < 5; reloads += 1) {
    await ann.page.reload();
    await ann.connected();
    isSeen = await ann.page.evaluate(() => window.formSeen);
  }
  assert.equal(isSeen, false);
});

test("a page whose scripts are late shows the form", async (t) => {
  const [ann, letGo] = await slowVisitor(t, "ann", "tea");
  await ann.page.locator("#join-form").waitFor();
  assert.equal(await ann.page.locator("#join-form button").isEnabled(), false);
  letGo();
  await ann.enter();
  assert.ok(ann.page.url().startsWith(url));
});
