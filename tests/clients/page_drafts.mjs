/** Drafts: `node page_drafts.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { Visitor } from "./page.mjs";

const browser = await launch({ after });

async function reload(visitor) {
  await visitor.page.reload();
  await visitor.connected();
  await visitor.page.locator("#text:enabled").waitFor();
}

test("a draft outlives a reload, for its writer in its room", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "drafts");
  await ann.box.pressSequentially("half a");
  await ann.box.press("Shift+Enter");
  await ann.box.pressSequentially("thought");
  await reload(ann);
  assert.equal(await ann.box.inputValue(), "half a\nthought");
  const enter = async (name, room) => {
    await ann.page.getByRole("button", { name: "Leave" }).click();
    await ann.page.getByLabel("Room", { exact: true }).fill(room);
    ann.name = name;
    await ann.enter();
    await ann.page.locator("#text:enabled").waitFor();
    return ann.box.inputValue();
  };
  assert.equal(await enter("ann", "elsewhere"), "");
  assert.equal(await enter("bob", "drafts"), "");
  assert.equal(await enter("ann", "drafts"), "half a\nthought");

  await ann.box.press("Enter");
  assert.deepEqual(await ann.texts(1), ["half a\nthought"]);
  await reload(ann);
  assert.equal(await ann.box.inputValue(), "");
  assert.deepEqual(await ann.page.evaluate(() => Object.keys(localStorage)), ["parlorName"]);
});

test("a refused message that is edited is a draft", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "edited");
  await ann.say("a character\0 that is refused");
  await ann.page.getByRole("button", { name: "Edit" }).click();
  const text = await ann.box.inputValue();
  await reload(ann);
  assert.equal(await ann.box.inputValue(), text);
});
