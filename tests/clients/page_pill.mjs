/** The button that leads to new messages: `node page_pill.mjs URL websocket light|dark`. With `SCREENSHOTS=folder`, it takes pictures. */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { member } from "./harness.mjs";
import { assertUsable, morning } from "./looks.mjs";
import { DESKTOP, PHONE, Visitor, picture } from "./page.mjs";

const colorScheme = argv[4];

const browser = await launch({ after });

for (const viewport of [DESKTOP, PHONE]) {
  const name = `${colorScheme}-${viewport.width}`;
  test(`the button that leads to new messages is legible, over whatever it floats: ${name}`, async (t) => {
    const room = `busy ${viewport.width}`;
    const maya = await Visitor.join(t, browser, "Maya", room, { colorScheme, viewport, timezoneId: morning() });
    const { page } = maya;
    const also = await member(t, "Maya", room);
    for (let number = 1; number <= 30; number++) await also.send(room, `My own message number ${number}, which is long enough to reach the middle`);
    await maya.texts(30);
    const noa = await member(t, "נועה", room);
    await page.locator("#scroll").evaluate((scroll) => (scroll.scrollTop = scroll.scrollHeight / 2));
    for (const text of ["שלום לכולם!", "מה שלומך, Maya?"]) await noa.send(room, text);
    const pill = page.getByRole("button", { name: "2 new messages" });
    await pill.waitFor();
    await maya.box.fill("one\ntwo\nthree\nfour");
    await picture(page, `pill-${name}`);
    await assertUsable(page);
    await assertLegible(pill);
    await pill.hover();
    await assertLegible(pill);
    const [button, write] = [await pill.boundingBox(), await page.locator("#compose").boundingBox()];
    assert.ok(button.y + button.height <= write.y, "it covers the text box");
    await pill.click();
    await maya.sees("#messages li:last-child .body", "מה שלומך");
    await picture(page, `hebrew-${name}`);
    await assertUsable(page);
  });
}

/**
 * Fails unless a button's text has contrast to its ground, and its edge to the page:
 * https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
 */
async function assertLegible(button) {
  const { text, edge } = await button.evaluate((element) => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const luminance = (color) => {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue] = [...context.getImageData(0, 0, 1, 1).data].map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = (one, other) => {
      const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
      return (light + 0.05) / (dark + 0.05);
    };
    const { color, backgroundColor, borderTopColor } = getComputedStyle(element);
    const around = [getComputedStyle(document.body).backgroundColor, backgroundColor];
    return { text: contrast(color, backgroundColor), edge: Math.min(...around.map((ground) => contrast(borderTopColor, ground))) };
  });
  assert.ok(text >= 4.5, `contrast of the text: ${text}`);
  assert.ok(edge >= 3, `contrast of the edge: ${edge}`);
}
