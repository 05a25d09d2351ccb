/**
 * Refusals in everyday words: `node page_words.mjs URL websocket SIGNED_URL`.
 *
 * The server at SIGNED_URL requires tokens. With `SCREENSHOTS=folder`, the script takes pictures.
 */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { POLLING, TECHNICAL, Visitor, picture } from "./page.mjs";
import { startProxy } from "./proxy.mjs";

const SIGNED = `${argv[4]}/`;

const browser = await launch({ after });

/** Fails on technical words in a reason, and returns it. */
async function assertInWords(locator) {
  const text = await locator.evaluate((element) => {
    const copy = element.cloneNode(true);
    for (const small of copy.querySelectorAll("small, button")) small.remove();
    return copy.textContent;
  });
  assert.doesNotMatch(text.replace("ALLOWED_ORIGINS", ""), TECHNICAL);
  assert.match(text, /[.…]$/);
  return text;
}

async function trouble(visitor) {
  await visitor.page.locator("#trouble").waitFor();
  return assertInWords(visitor.page.locator("#trouble"));
}

for (const [what, name, room] of [["name", "é".repeat(65), "tea"], ["room's name", "ann", "é".repeat(65)]]) {
  test(`a ${what} that is too long is refused in words`, async (t) => {
    const visitor = await Visitor.open(t, browser, name, room);
    await visitor.submitForm();
    await visitor.page.locator("#refusal").waitFor();
    await picture(visitor.page, "refusal");
    assert.match(await assertInWords(visitor.page.locator("#refusal")), new RegExp(`^This ${what} cannot be used: it is too long`));
  });
}

test("messages that are refused are refused in words", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "refused");
  for (const [text, expected] of [["x".repeat(8_193), /too long/], ["a\0", /character that cannot be sent/]]) {
    await ann.say(text);
    await ann.sees("#outbox .failed .meta", "Not sent: ");
    assert.match(await assertInWords(ann.page.locator("#outbox .failed .meta")), expected);
    await ann.page.getByRole("button", { name: "Discard" }).click();
  }
});

test("a server that wants tokens says that one has to sign in", async (t) => {
  const ann = await Visitor.open(t, browser, "ann", "tea", { base: SIGNED });
  await ann.submitForm();
  await ann.page.locator("#refusal").waitFor();
  assert.match(await assertInWords(ann.page.locator("#refusal")), /signed in.*open the chat from the application/);
});

test("a proxy that hides the page's address is named, on the page or at the form", async (t) => {
  const base = await startProxy(t, { host: "chat.example" });
  const ann = await Visitor.open(t, browser, "ann", "tea", { base });
  await ann.submitForm();
  const reason = ann.page.locator(":is(#trouble, #refusal):not([hidden])");
  await reason.waitFor();
  assert.match(await assertInWords(reason), /does not accept the address/);
  assert.match(await reason.locator("small").textContent(), /FORBIDDEN/);
  await picture(ann.page, "trouble");
});

const BUSY = JSON.stringify({ error: { code: "RATE_LIMITED", message: "too many requests at once", retryable: true } });
test("answers that are none of the chat server's are told in words, and what goes away is tried again", async (t) => {
  const ann = await Visitor.open(t, browser, "ann", "tea");
  let answer = (route) => route.abort();
  await ann.page.route(POLLING, (route) => answer(route));
  await ann.submitForm();
  assert.equal(await trouble(ann), "The server cannot be reached. Trying again.");
  for (const [status, body, expected] of [
    [429, BUSY, /too many connections.*Trying again\.$/],
    [502, "Bad Gateway", /away.*Trying again\.$/],
    [503, "", /full, or about to restart.*Trying again\.$/],
    [504, "", /in time.*Trying again\.$/],
    [404, "", /no chat server.*Trying again\.$/],
    [418, "", /cannot be reached.*Trying again\.$/],
  ]) {
    answer = (route) => route.fulfill({ status, body });
    await ann.page.reload();
    assert.match(await trouble(ann), expected);
    assert.match(await ann.page.locator("#trouble small").textContent(), new RegExp(`status ${status}`));
  }
  answer = (route) => route.continue();
  await ann.connected();
  assert.equal(await ann.page.locator("#trouble").isVisible(), false);
});
