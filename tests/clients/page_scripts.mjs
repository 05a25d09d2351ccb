/** Names and texts in scripts of all directions and heights: `node page_scripts.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { DESKTOP, Visitor, picture } from "./page.mjs";

const ARABIC = "مريم";
const HEBREW = "נועה";
const HEBREW_ROOM = "חדר תה";

const browser = await launch({ after });

/** Returns the positions of the first and the last letter of an element's text, from left to right. */
function order(locator) {
  return locator.evaluate((element) => {
    const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const text = texts.nextNode();
    const left = (at) => {
      const range = document.createRange();
      range.setStart(text, at);
      range.setEnd(text, at + 1);
      return range.getBoundingClientRect().left;
    };
    return left(0) < left(text.length - 1) ? "left to right" : "right to left";
  });
}

const direction = (locator) => locator.evaluate((element) => getComputedStyle(element).direction);

test("Arabic and Hebrew are set right to left, others left to right, while they are written and when they are said", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "directions");
  for (const [text, expected] of [["ok!", "ltr"], ["مرحبا, tea?", "rtl"], ["שלום!", "rtl"], ["12 ok", "ltr"]]) {
    await ann.box.fill(text);
    assert.equal(await direction(ann.box), expected, text);
    await ann.box.press("Enter");
    await ann.sees("#messages .body", text);
    assert.equal(await direction(ann.page.locator("#messages .body").last()), expected, text);
  }
  // Each line of a text has its own direction.
  await ann.say("hello\nשלום לך!");
  await ann.sees("#messages .body", "hello");
  const [left, right] = await ann.page.locator("#messages .body").last().evaluate((body) => {
    const range = document.createRange();
    range.setStart(body.firstChild, body.textContent.length - 1);
    range.setEnd(body.firstChild, body.textContent.length);
    const mark = range.getBoundingClientRect();
    range.selectNodeContents(body);
    const lines = [...range.getClientRects()].at(-1);
    return [mark.left - lines.left, lines.right - mark.right];
  });
  assert.ok(left < right, "the mark at the end of the Hebrew line is on its left");
});

test("the form takes names and rooms in both directions", async (t) => {
  const { page } = await Visitor.open(t, browser, "ann", HEBREW_ROOM);
  await page.getByLabel("Your name").fill(ARABIC);
  assert.deepEqual([await direction(page.getByLabel("Your name")), await direction(page.getByLabel("Room", { exact: true }))], ["rtl", "rtl"]);
  await page.getByLabel("Your name").fill("ann");
  assert.equal(await direction(page.getByLabel("Your name")), "ltr");
});

test("names of people and rooms do not turn the sentences around that they stand in", async (t) => {
  const ann = await Visitor.join(t, browser, `${ARABIC} 1`, `${HEBREW_ROOM} 2`);
  const noa = await member(t, HEBREW, `${HEBREW_ROOM} 2`);
  const lea = await member(t, `${HEBREW}-2`, `${HEBREW_ROOM} 2`);
  const typing = { roomId: `${HEBREW_ROOM} 2`, isTyping: true };
  noa.socket.emit("typing", typing);
  await ann.sees("#typing", `${HEBREW} is typing…`);
  lea.socket.emit("typing", typing);
  await ann.sees("#typing", `${HEBREW} and ${HEBREW}-2 are typing…`);
  await noa.send(`${HEBREW_ROOM} 2`, "hello");
  await ann.sees("#messages .by", HEBREW);
  await ann.sees("#beginning", `This is where ${HEBREW_ROOM} 2 begins.`);
  await ann.sees("#heard", `${HEBREW}: hello`);

  const names = await ann.page.evaluate(() => {
    const texts = document.createTreeWalker(document.querySelector("#chat"), NodeFilter.SHOW_TEXT);
    const found = {};
    for (let text; (text = texts.nextNode()); ) {
      if (!/[\u0590-\u06ff]/.test(text.data) || text.parentElement.closest(".avatar")) continue;
      const alone = text.parentElement.matches("bdi, [dir=auto]");
      const id = text.parentElement.closest(".body, [id]").id || "messages";
      found[id] = alone && (found[id] ?? true);
    }
    return found;
  });
  const expected = ["beginning", "heard", "member-list", "messages", "title", "typing"];
  assert.deepEqual(names, Object.fromEntries(Object.keys(names).map((id) => [id, true])));
  for (const id of expected) assert.ok(id in names, id);
  assert.equal(await ann.page.title(), `\u2068${HEBREW_ROOM} 2\u2069 · Parlor`);
  assert.equal(await order(ann.page.locator("#title")), "right to left");
});

test("marks piled on a letter stay in their bubble, their name and their line", async (t) => {
  const pile = (letter) => letter + "\u0301".repeat(30) + "\u0325".repeat(28);
  const ann = await Visitor.join(t, browser, "ann", "piles", { viewport: DESKTOP });
  const eve = await member(t, pile("E"), "piles");
  await ann.sees("#members-button", "2 members");
  await eve.send("piles", "above above above");
  await eve.send("piles", pile("a").repeat(3));
  await eve.send("piles", "below below below");
  await ann.texts(3);
  await ann.page.evaluate(() => document.activeElement.blur());
  await picture(ann.page, "piles");
  for (const selector of ["#messages li:nth-child(1) .body", "#messages li:nth-child(3) .bubble", "#member-list li:first-child", "header"]) {
    const place = ann.page.locator(selector);
    // A picture may be taken while something else is still being drawn.
    let covered = true;
    for (let tries = 0; covered && tries < 3; tries++) covered = !(await pictureWith(place, "")).equals(await pictureWith(place, "transparent"));
    assert.equal(covered, false, `marks cover ${selector}`);
  }
});

/** Takes a picture of a place, with the piled texts in a colour. */
async function pictureWith(place, color) {
  await place.page().evaluate((shown) => {
    const piled = document.querySelectorAll("#messages .by *, #messages li:nth-child(2) *, #member-list li:not(:first-child) *");
    for (const text of piled) text.style.color = shown;
  }, color);
  return place.screenshot({ animations: "disabled" });
}
