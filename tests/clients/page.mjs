/** The page at `/` in Chromium: `node page.mjs URL`; with `SCREENSHOTS=folder`, it takes pictures. */

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { env } from "node:process";
import test from "node:test";
import { chromium } from "playwright-core";
import { url, within } from "./harness.mjs";

const BROWSERS = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const DEADLINE_MS = 10_000;
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

/** The packet with which a client leaves polling: https://socket.io/docs/v4/engine-io-protocol/#upgrade */
const UPGRADE = "5";

const HTML_NAME = "<i>bob</i>";
const HTML = `<img src=x onerror="document.title='broken in'"><b>bold</b> & <script>alert(1)</script>`;

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first browser there is, by its name on the `PATH` or by its path. */
function browserFile() {
  const folders = (env.PATH ?? "").split(delimiter);
  const names = env.CHROME ? [env.CHROME] : BROWSERS;
  const file = names.flatMap((name) => folders.map((folder) => resolve(folder, name))).find(isExecutable);
  assert.ok(file, `${names[0]} is missing: run \`make test\`, which installs what the tests need`);
  return file;
}

/** A page of a browser of its own, all that it complains of, and when its transport is the better one. */
async function visit(t, browser, name, viewport) {
  const context = await browser.newContext({ viewport });
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  t.after(() => complaints.forEach((complaint) => t.diagnostic(complaint)));
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error}`));
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) complaints.push(`${line.type()}: ${line.text()}`);
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const upgraded = new Promise((done) => {
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => payload === UPGRADE && done()));
  });
  await page.goto(`${url}/?room=tea`);
  return { name, page, complaints, upgraded };
}

async function enter({ page, name }) {
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
}

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByLabel("Message", { exact: true }).press("Enter");
}

/** The conversation as it is read, once it has so many messages and none is on its way. */
async function conversation(page, count) {
  await page.waitForFunction(
    (expected) =>
      document.querySelectorAll("#messages li").length >= expected && !document.querySelector("#outbox li"),
    count,
  );
  return page.locator("#messages li").evaluateAll((items) =>
    items.map((item) => [item.querySelector("b").textContent, item.querySelector(".body").textContent]),
  );
}

async function picture(page, name) {
  if (env.SCREENSHOTS) await page.screenshot({ path: join(env.SCREENSHOTS, `${name}.png`) });
}

test("two browsers chat in a room and find its history after a reload", async (t) => {
  const browser = await chromium.launch({ executablePath: browserFile(), args: ARGUMENTS, timeout: DEADLINE_MS });
  t.after(() => browser.close());
  const ann = await visit(t, browser, "ann", DESKTOP);
  const bob = await visit(t, browser, HTML_NAME, PHONE);
  const said = [];
  const bothHeardAll = async () => {
    for (const { page } of [ann, bob]) assert.deepEqual(await conversation(page, said.length), said);
  };
  const says = async ({ page, name }, text) => {
    said.push([name, text]);
    await say(page, text);
    await bothHeardAll();
  };

  await picture(ann.page, "entry");
  await enter(ann);
  await enter(bob);
  await ann.page.getByText(`2 here: ann, ${HTML_NAME}`, { exact: true }).waitFor();
  await says(ann, "Hello, who is there?");
  await says(bob, HTML);
  await says(ann, "One\nmore");

  await within("the upgrade to WebSocket", Promise.all([ann.upgraded, bob.upgraded]));
  await bob.page.reload();
  await bothHeardAll();
  await says(bob, "back again");

  await picture(ann.page, "desktop");
  await picture(bob.page, "phone");
  for (const { page, complaints } of [ann, bob]) {
    assert.equal(await page.title(), "tea · Parlor");
    assert.equal(await page.locator("#messages :is(img, i, script)").count(), 0);
    assert.deepEqual(complaints, []);
  }
});
