/**
 * How the page looks, in the room "Garden club", which has a conversation: `node page_looks.mjs URL websocket light|dark`.
 *
 * With `SCREENSHOTS=folder`, it takes pictures.
 */

import { argv } from "node:process";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { assertUsable, morning } from "./looks.mjs";
import { DESKTOP, PHONE, POLLING, Visitor, picture } from "./page.mjs";

const ROOM = "Garden club";
const colorScheme = argv[4];

const browser = await launch({ after });

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
