/**
 * How the page looks, in the room "Garden club", which has a conversation: `node page_looks.mjs URL websocket light|dark`.
 *
 * With `SCREENSHOTS=folder`, it takes pictures.
 */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import axe from "axe-core";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { DESKTOP, PHONE, POLLING, Visitor, picture } from "./page.mjs";

const ROOM = "Garden club";
const colorScheme = argv[4];

const browser = await launch({ after });

/** Fails on what keeps somebody from using the page: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md */
async function assertUsable(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]), []);
}

/** A time zone in which it is about ten in the morning: nothing of yesterday is called today then, at no hour. */
function morning() {
  const ahead = Math.max(10 - new Date().getUTCHours(), -12);
  return `Etc/GMT${ahead > 0 ? "-" : "+"}${Math.abs(ahead)}`;
}

for (const viewport of [DESKTOP, PHONE]) {
  const name = `${colorScheme}-${viewport.width}`;
  test(`the page is usable: ${name}`, async (t) => {
    const jonas = await member(t, "Jonas", ROOM);
    await member(t, "Priya", ROOM);
    const maya = await Visitor.open(t, browser, "Maya", ROOM, { colorScheme, viewport, timezoneId: morning() });
    const { page } = maya;
    await picture(page, `entry-${name}`);
    await assertUsable(page);

    await page.route(POLLING, (route) => route.abort());
    await maya.submitForm();
    await maya.sees("#trouble", "The server cannot be reached. Trying again.");
    await picture(page, `loading-${name}`);
    await assertUsable(page);
    await page.unroute(POLLING);

    await maya.connected("WebSocket");
    await maya.sees("#members-button", "3 members");
    jonas.socket.emit("typing", { roomId: ROOM, isTyping: true });
    await maya.sees("#typing", "Jonas is typing…");
    await picture(page, `room-${name}`);
    if (name === "light-1280") await picture(page, "room");

    await maya.say("This has a character that the server refuses.\0");
    await maya.sees("#outbox .failed .meta", "Not sent: ");
    await picture(page, `failed-${name}`);
    await assertUsable(page);

    const members = page.locator("#members");
    if (!(await members.isVisible())) await page.locator("#members-button").click();
    await members.waitFor();
    await picture(page, `members-${name}`);
    await assertUsable(page);
  });
}
