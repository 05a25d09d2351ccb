/**
 * Calls between pages of two servers on one database: `node page_call.mjs URL OTHER_URL`.
 *
 * With `SCREENSHOTS=folder`, it takes pictures.
 */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { CALLS, Caller, allReceive } from "./calls.mjs";
import { assertUsable } from "./looks.mjs";
import { TECHNICAL, picture } from "./page.mjs";

const [, , here, there] = argv;

const browser = await launch({ after }, CALLS);

const ann = (t, room, options) => Caller.at(t, browser, here, "ann", room, options);
const bob = (t, room, options) => Caller.at(t, browser, there, "bob", room, options);

test("two people see and hear each other, and the history tells of the call", async (t) => {
  const pair = await Promise.all([ann(t, "two"), bob(t, "two")]);
  const [caller, callee] = pair;
  await caller.calls(callee);
  await allReceive(pair);
  await caller.page.locator("#call-line", { hasText: /^\d:\d\d$/ }).waitFor();
  await picture(caller.page, "call");
  await assertUsable(caller.page);

  await callee.press("Mute");
  await caller.page.locator(".tile", { hasText: "bob" }).getByRole("img", { name: "muted" }).waitFor();
  await callee.press("Unmute");
  await callee.press("Turn the camera off");
  await caller.page.locator(".tile:not(.own, .picture)").waitFor();
  await callee.press("Turn the camera on");
  await caller.page.locator(".tile.picture:not(.own)").waitFor();
  await caller.receives("bob");

  await caller.page.getByLabel("Statistics: bob").click();
  await caller.page.locator("dd", { hasText: /\d ms$/ }).waitFor();
  await callee.press("Hang up");
  await caller.sees("#call-line", /^bob has left; the call ends in \d+ s\.$/);
  await caller.press("Hang up");
  await caller.quiet();
  for (const one of pair) assert.match((await one.texts(1))[0], /^Video call · \d+ s$/);
  for (const one of pair) assert.deepEqual(one.complaints, []);
});

test("a page that is reloaded is back in the call", async (t) => {
  const pair = await Promise.all([ann(t, "reload"), bob(t, "reload")]);
  const [caller, callee] = pair;
  await caller.calls(callee);
  await allReceive(pair);
  for (const one of pair) {
    await one.page.reload();
    await one.page.locator("#text:enabled").waitFor();
    await allReceive(pair);
    assert.equal(await caller.page.locator(".tile").count(), 2);
  }
});

test("a duplicated tab is not the party of the first one", async (t) => {
  const pair = await Promise.all([ann(t, "duplicate"), bob(t, "duplicate")]);
  const [caller, callee] = pair;
  await caller.calls(callee);
  const [page] = await Promise.all([callee.context.waitForEvent("page"), callee.page.evaluate(() => window.open(location.href))]);
  const copied = page.evaluate(() => sessionStorage.getItem("parlorParty"));
  assert.equal(await copied, await callee.page.evaluate(() => sessionStorage.getItem("parlorParty")));
  await page.getByLabel("Your name").fill("bob");
  await page.getByRole("button", { name: "Join" }).click();
  await page.locator("#call-title", { hasText: "You are in this call in another tab" }).waitFor();
  await allReceive(pair);
});

test("a shared screen is seen, and after it the camera again", async (t) => {
  const pair = await Promise.all([ann(t, "screen"), bob(t, "screen")]);
  const [caller, callee] = pair;
  await caller.calls(callee);
  await allReceive(pair);
  await callee.press("Share your screen");
  await caller.page.locator(".tile.screen:not(.own)").waitFor();
  await caller.receives("bob");
  await callee.press("Stop sharing your screen");
  await caller.page.locator(".tile.picture:not(.own, .screen)").waitFor();
  await caller.receives("bob");
});

test("a tab stops ringing when another one accepts, and when another one declines", async (t) => {
  const caller = await ann(t, "tabs");
  const tabs = await Promise.all([bob(t, "tabs"), bob(t, "tabs"), Caller.at(t, browser, here, "bob", "tabs")]);
  await caller.press("Call");
  for (const tab of tabs) await tab.rings("ann");
  await tabs[0].press("Decline");
  for (const one of [caller, ...tabs]) await one.quiet();
  for (const one of [caller, ...tabs]) await one.sees(".trace", "Declined call");

  await caller.press("Call");
  for (const tab of tabs) await tab.rings("ann");
  await tabs[2].press("Answer");
  for (const tab of tabs.slice(0, 2)) await tab.sees("#call-title", "You are in this call in another tab");
  await tabs[2].sees("#call-title", "Call");
});

test("two who call each other at once are in one call", async (t) => {
  const pair = await Promise.all([ann(t, "glare"), bob(t, "glare")]);
  await Promise.all(pair.map((one) => one.press("Video call")));
  await allReceive(pair);
  for (const one of pair) assert.equal(await one.page.locator(".tile").count(), 2);
});

test("a call that rings takes no focus from somebody who writes, and is told to those who do not look", async (t) => {
  const [caller, callee] = await Promise.all([ann(t, "focus"), bob(t, "focus")]);
  await callee.box.pressSequentially("half a sen");
  await caller.press("Call");
  await callee.rings("ann");
  await callee.sees("#call-alert", "ann is calling. Call.");
  assert.match(await callee.page.title(), /^ann is calling/);
  await callee.page.keyboard.type("tence");
  assert.equal(await callee.box.inputValue(), "half a sentence");
  await assertUsable(callee.page);
  // The buttons come after the text box.
  for (const name of ["Send", "Decline", "Answer"]) {
    await callee.page.keyboard.press("Tab");
    assert.equal(await callee.page.evaluate(() => document.activeElement.textContent), name);
  }
  await callee.page.keyboard.press("Enter");
  await callee.sees("#call-title", "Call");
  assert.equal(await callee.page.evaluate(() => document.activeElement.id), "call-mute");
  await callee.page.keyboard.press("Escape");
  assert.equal(await callee.page.locator("#call-controls").isVisible(), true);
  assert.doesNotMatch(await callee.page.title(), /calling/);
});

for (const [what, error, says] of [
  ["missing", "NotFoundError", /^No microphone and no camera was found\. You can listen and watch\.$/],
  ["refused", "NotAllowedError", /^This browser may not use the microphone and camera\. Permit it/],
  ["in use elsewhere", "NotReadableError", /another program may have it/],
]) {
  test(`devices that are ${what} are said kindly, and the others are seen and heard all the same`, async (t) => {
    const pair = await Promise.all([ann(t, error), bob(t, error)]);
    const [caller, callee] = pair;
    await callee.page.evaluate((name) => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no device", name));
    }, error);
    await caller.calls(callee);
    await callee.receives("ann");
    const said = callee.page.locator("#call-trouble:visible");
    await said.waitFor();
    assert.match(await said.textContent(), says);
    assert.doesNotMatch(await said.textContent(), TECHNICAL);
    await assertUsable(callee.page);
  });
}
