/** The page on a phone: `node page_phone.mjs URL`. With `SCREENSHOTS=folder`, it takes pictures. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { PHONE, TOUCH_PHONE, Visitor, picture } from "./page.mjs";

const browser = await launch({ after });

test("on a touch keyboard, Enter breaks the line, and the button sends, after which the keyboard stays", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "lines", TOUCH_PHONE);
  assert.equal(await ann.box.getAttribute("enterkeyhint"), "enter");
  await ann.box.tap();
  await ann.page.keyboard.type("one");
  await ann.page.keyboard.press("Enter");
  await ann.page.keyboard.type("two");
  assert.equal(await ann.box.inputValue(), "one\ntwo");
  await ann.page.getByRole("button", { name: "Send" }).tap();
  assert.deepEqual(await ann.texts(1), ["one\ntwo"]);
  assert.equal(await ann.box.evaluate((box) => box === document.activeElement), true);
  await ann.page.keyboard.type("by a keyboard");
  await ann.page.keyboard.press("Control+Enter");
  assert.deepEqual(await ann.texts(2), ["one\ntwo", "by a keyboard"]);
});

test("where there is a mouse, Enter sends and Shift+Enter breaks the line", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "mouse", { viewport: PHONE });
  assert.equal(await ann.box.getAttribute("enterkeyhint"), "send");
  await ann.box.pressSequentially("one");
  await ann.box.press("Shift+Enter");
  await ann.box.pressSequentially("two");
  await ann.box.press("Enter");
  assert.deepEqual(await ann.texts(1), ["one\ntwo"]);
});

test("the link can be copied on a phone", async (t) => {
  const permissions = ["clipboard-read", "clipboard-write"];
  const ann = await Visitor.join(t, browser, "ann", "link", { ...TOUCH_PHONE, permissions });
  await ann.page.getByRole("button", { name: "Copy link" }).tap();
  await ann.page.getByRole("button", { name: "Link copied" }).waitFor();
  assert.equal(await ann.paste(), ann.page.url());
});

test("the link can be copied where the browser has no clipboard, as on plain HTTP", async (t) => {
  const init = () => Object.defineProperty(navigator, "clipboard", { value: undefined });
  const ann = await Visitor.join(t, browser, "ann", "plain", { init, permissions: ["clipboard-read"] });
  await ann.page.getByRole("button", { name: "Copy link" }).click();
  await ann.page.getByRole("button", { name: "Link copied" }).waitFor();
  assert.equal(await ann.paste(), ann.page.url());
  assert.deepEqual(ann.complaints, []);
});

test("the member list leaves the text box free, and closes by its button, by a tap beside it, and by Escape", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "members", TOUCH_PHONE);
  for (let number = 1; number <= 30; number++) await member(t, `user ${number}`, "members");
  await ann.sees("#members-button", "31");
  const members = ann.page.locator("#members");
  const open = async () => {
    await ann.page.locator("#members-button").tap();
    await members.waitFor();
  };
  const closed = () => members.waitFor({ state: "hidden" });
  assert.equal(await members.isVisible(), false);

  await open();
  await picture(ann.page, "phone-members");
  const [list, form] = [await members.boundingBox(), await ann.page.locator("#compose").boundingBox()];
  assert.ok(list.y + list.height <= form.y, "the list covers the text box");
  await ann.box.tap();
  await ann.page.keyboard.type("free");
  assert.equal(await ann.box.inputValue(), "free");
  if (!(await members.isVisible())) await open();

  await ann.page.getByRole("button", { name: "Close the list" }).tap();
  await closed();
  await open();
  await ann.page.touchscreen.tap(10, list.y + 200);
  await closed();
  await open();
  await ann.page.keyboard.press("Escape");
  await closed();
  await open();
  await ann.page.locator("#members-button").tap();
  await closed();
});

test("nothing on a phone is wider than the screen or smaller than a finger", async (t) => {
  const room = "a room with a rather long name";
  const ann = await Visitor.join(t, browser, "ann", room, { ...TOUCH_PHONE, viewport: { width: 320, height: 640 } });
  await ann.box.fill("x".repeat(200));
  await ann.page.getByRole("button", { name: "Send" }).tap();
  await ann.texts(1);
  const { width, small } = await ann.page.evaluate(() => ({
    width: Math.max(document.documentElement.scrollWidth, document.querySelector("#scroll").scrollWidth),
    small: [...document.querySelectorAll("#chat :is(button, textarea)")].flatMap((control) => {
      const { width, height } = control.getBoundingClientRect();
      return control.checkVisibility() && Math.min(width, height) < 40 ? [`${control.id} ${width} × ${height}`] : [];
    }),
  }));
  assert.ok(width <= 320, `${width} px wide`);
  assert.deepEqual(small, []);
  const title = await ann.page.locator("#title").boundingBox();
  assert.ok(title.width >= 80, `the room's name has ${title.width} px`);
  await picture(ann.page, "phone-narrow");
});

test("an Enter that an input method takes sends nothing", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "composing", { viewport: PHONE });
  await ann.box.fill("にほん");
  for (const taken of [{ isComposing: true }, { keyCode: 229 }]) {
    await ann.box.evaluate((box, more) => {
      box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...more }));
    }, taken);
  }
  assert.equal(await ann.box.inputValue(), "にほん");
  await ann.box.press("Enter");
  assert.deepEqual(await ann.texts(1), ["にほん"]);
});
