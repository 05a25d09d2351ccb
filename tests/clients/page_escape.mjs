/** The Escape key: `node page_escape.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { DESKTOP, PHONE, TOUCH_PHONE, Visitor } from "./page.mjs";

const browser = await launch({ after });

const isFocused = (locator) => locator.evaluate((element) => element === document.activeElement);

for (const [what, options] of [["a desktop", { viewport: DESKTOP }], ["a narrow window", { viewport: PHONE }], ["a phone", TOUCH_PHONE]]) {
  test(`Escape takes nothing from one who types, on ${what}`, async (t) => {
    const ann = await Visitor.join(t, browser, "ann", `escape ${what}`, options);
    const members = ann.page.locator("#members");
    for (const wanted of [true, false]) {
      const button = ann.page.locator("#members-button");
      if ((await members.isVisible()) !== wanted) await button.click();
      await ann.box.focus();
      await ann.box.pressSequentially("ab");
      await ann.page.keyboard.press("Escape");
      await ann.page.keyboard.type("cd");
      assert.deepEqual([await ann.box.inputValue(), await isFocused(ann.box)], ["abcd", true]);
      await ann.box.fill("");
    }
  });
}

test("Escape that ends an input method's choice closes nothing", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "composing", { viewport: PHONE });
  await ann.page.locator("#members-button").click();
  await ann.box.evaluate((box) => {
    box.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", isComposing: true, bubbles: true, cancelable: true }));
  });
  assert.equal(await ann.page.locator("#members").isVisible(), true);
});
