/** Refused messages: `node page_failed.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { DESKTOP, PHONE, Visitor } from "./page.mjs";

const TOO_LONG = "a long story ".repeat(700);

const browser = await launch({ after });

/** Returns true when the visible part of the list shows the whole element. */
function isInView(locator) {
  return locator.evaluate((element) => {
    const [inner, outer] = [element.getBoundingClientRect(), document.querySelector("#scroll").getBoundingClientRect()];
    return inner.top >= outer.top && inner.bottom <= outer.bottom;
  });
}

async function untilInView(visitor, locator) {
  for (const end = Date.now() + 5_000; Date.now() < end; ) {
    if (await isInView(locator)) return;
    await visitor.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  }
  assert.fail(`not in view: ${await locator.innerText()}`);
}

for (const [what, viewport] of [["a desktop", DESKTOP], ["a phone", PHONE]]) {
  test(`after refused messages, the next own one is in view, on ${what}`, async (t) => {
    const ann = await Visitor.join(t, browser, "ann", `after ${what}`, { viewport });
    const also = await member(t, "ann", `after ${what}`);
    for (let number = 1; number <= 30; number++) await also.send(`after ${what}`, `before ${number}`);
    await ann.texts(30);
    for (let failed = 1; failed <= 4; failed++) {
      await ann.say(TOO_LONG);
      await ann.page.locator("#outbox .failed").nth(failed - 1).waitFor();
      await untilInView(ann, ann.page.getByRole("button", { name: "Try again" }).last());
      await ann.say(`short ${failed}`);
      await ann.sees("#messages .body", `short ${failed}`);
      await untilInView(ann, ann.messages.last());
    }
    assert.equal(await ann.page.locator("#newest").isVisible(), false);
  });
}

test("a refused message can be discarded, and is gone after a reload too", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "discard");
  await ann.say(TOO_LONG);
  await ann.say("short");
  await ann.page.locator("#outbox .failed").waitFor();
  await ann.page.getByRole("button", { name: "Discard" }).click();
  assert.deepEqual(await ann.texts(1), ["short"]);
  assert.equal(await ann.box.evaluate((box) => box === document.activeElement), true);
  await ann.page.reload();
  await ann.connected();
  assert.deepEqual(await ann.texts(1), ["short"]);
});
