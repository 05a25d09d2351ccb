/** Reading back while others talk: `node page_scroll.mjs URL`. The room "old" has `message 1` to `message 130`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { setTimeout } from "node:timers/promises";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { TOUCH_PHONE, Visitor } from "./page.mjs";

/** Five messages a second. */
const PAUSE_MS = 200;
const SPOKEN = 8;
const STEP_MS = 40;

const browser = await launch({ after }, { ignoreDefaultArgs: ["--hide-scrollbars"] });

const fromEnd = ({ page }) =>
  page.locator("#scroll").evaluate((scroll) => Math.round(scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight));
const isFollowing = async (visitor) => (await fromEnd(visitor)) < 2;

/** Returns true if the view is not at the end after a moment. */
async function isAway(visitor) {
  for (let moments = 0; moments < 25 && !(await isFollowing(visitor)); moments++) await setTimeout(STEP_MS);
  return !(await isFollowing(visitor));
}

async function untilFollowing(visitor) {
  await visitor.page.waitForFunction(() => {
    const scroll = document.querySelector("#scroll");
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 2;
  });
}

/**
 * Reads in a room where another person talks, while `move` makes small steps up. Returns the view's position, and
 * whether it has stayed.
 */
async function readWhileBobTalks(t, room, options, move) {
  const bob = await member(t, "bob", room);
  const ann = await Visitor.join(t, browser, "ann", room, options);
  for (let number = 1; number <= 40; number++) await bob.send(room, `before ${number}`);
  await ann.texts(40);
  await untilFollowing(ann);
  let talking = true;
  const talk = (async () => {
    for (let number = 1; number <= SPOKEN || talking; number++) {
      await bob.send(room, `now ${number}`);
      await setTimeout(PAUSE_MS);
    }
    return bob;
  })();
  await move(ann);
  talking = false;
  await talk;
  return { ann, bob };
}

async function assertUnpinned({ ann, bob }, room) {
  assert.equal(await isFollowing(ann), false, "the view was pulled back");
  const [shown, seen] = [await ann.messages.count(), await topOf(ann)];
  await bob.send(room, "one more");
  await ann.conversation(shown + 1);
  assert.equal(await topOf(ann), seen);
}

const topOf = ({ page }) => page.locator("#messages").evaluate((list) => Math.round(list.getBoundingClientRect().top));

async function assertPinnedAgain({ ann, bob }, room) {
  await untilFollowing(ann);
  const shown = await ann.messages.count();
  await bob.send(room, "and again");
  await ann.conversation(shown + 1);
  await untilFollowing(ann);
}

async function overTheList(page) {
  const { x, y, width, height } = await page.locator("#scroll").boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
}

test("one who turns the wheel slowly while others talk goes up, and follows again at the end", async (t) => {
  const both = await readWhileBobTalks(t, "wheel", {}, async ({ page }) => {
    await overTheList(page);
    for (let step = 0; step < 40; step++) {
      await page.mouse.wheel(0, -3);
      await setTimeout(STEP_MS);
    }
  });
  await assertUnpinned(both, "wheel");
  const { page } = both.ann;
  for (let step = 0; step < 30; step++) await page.mouse.wheel(0, 100);
  await assertPinnedAgain(both, "wheel");
});

test("one who drags slowly with a finger while others talk goes up, and follows again at the end", async (t) => {
  const swipe = async ({ page }, steps, distance) => {
    const session = await page.context().newCDPSession(page);
    const touch = (type, y) => session.send("Input.dispatchTouchEvent", { type, touchPoints: y ? [{ x: 195, y }] : [] });
    const start = distance > 0 ? 250 : 550;
    await touch("touchStart", start);
    for (let step = 1; step <= steps; step++) {
      await touch("touchMove", start + step * distance);
      await setTimeout(STEP_MS);
    }
    await touch("touchEnd");
  };
  const both = await readWhileBobTalks(t, "touch", TOUCH_PHONE, (ann) => swipe(ann, 60, 3));
  await assertUnpinned(both, "touch");
  for (let tries = 0; tries < 20 && !(await isFollowing(both.ann)); tries++) await swipe(both.ann, 5, -60);
  await assertPinnedAgain(both, "touch");
});

test("one who goes up by the keyboard while others talk stays there, and follows again at the end", async (t) => {
  const both = await readWhileBobTalks(t, "keys", {}, async ({ page }) => {
    await page.locator("#scroll").focus();
    for (let step = 0; step < 4; step++) {
      await page.keyboard.press("ArrowUp");
      await setTimeout(PAUSE_MS);
    }
  });
  await assertUnpinned(both, "keys");
  // Pressed once more if a message came on the way.
  do await both.ann.page.keyboard.press("End");
  while (await isAway(both.ann));
  await assertPinnedAgain(both, "keys");
});

test("one who pulls the scrollbar slowly while others talk goes up, and follows again at the end", async (t) => {
  const both = await readWhileBobTalks(t, "scrollbar", {}, async ({ page }) => {
    const { x, y, width, height } = await page.locator("#scroll").boundingBox();
    const [right, bottom] = [x + width - 6, y + height - 30];
    await page.mouse.move(right, bottom);
    await page.mouse.down();
    for (let step = 1; step <= 20; step++) {
      await page.mouse.move(right, bottom - step);
      await setTimeout(STEP_MS);
    }
    await page.mouse.up();
  });
  await assertUnpinned(both, "scrollbar");
  await both.ann.page.getByRole("button", { name: /new message/ }).click();
  await assertPinnedAgain(both, "scrollbar");
});

test("one who reads at the end stays there when the view gets smaller and larger", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "old");
  for (const height of [500, 300, 800]) {
    await ann.page.setViewportSize({ width: 1000, height });
    await untilFollowing(ann);
    assert.equal(await ann.page.locator("#newest").isVisible(), false);
  }
});
