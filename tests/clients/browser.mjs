/** Chromium, and pages in it with a record of their errors. */

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { delimiter, resolve } from "node:path";
import { env } from "node:process";
import { chromium } from "playwright-core";
import { DEADLINE_MS } from "./harness.mjs";

const BROWSERS = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
export const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The packet by which a client leaves polling: https://socket.io/docs/v4/engine-io-protocol/#upgrade */
const UPGRADE = "5";

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Returns the first browser found, by its name on the `PATH` or by its path. */
function browserFile() {
  const folders = (env.PATH ?? "").split(delimiter);
  const names = env.CHROME ? [env.CHROME] : BROWSERS;
  const file = names.flatMap((name) => folders.map((folder) => resolve(folder, name))).find(isExecutable);
  assert.ok(file, `${names[0]} is missing: run \`make test\`, which installs what the tests need`);
  return file;
}

/** Starts a browser, which is closed after the test; `options` are Playwright's. */
export async function launch(t, options = {}) {
  const executablePath = browserFile();
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS, timeout: DEADLINE_MS, ...options });
  t.after(() => browser.close());
  return browser;
}

/**
 * An address opened in a context of its own, closed after the test (`options` are that context's): the page, all that it
 * complains of, which the test's diagnostics repeat, and when its transport is the better one.
 */
export async function visit(t, browser, address, options) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  const complain = (complaint) => {
    complaints.push(complaint);
    t.diagnostic(complaint);
  };
  page.on("pageerror", (error) => complain(`uncaught: ${error}`));
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) complain(`${line.type()}: ${line.text()}`);
  });
  page.on("dialog", (dialog) => {
    complain(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const upgraded = new Promise((done) => {
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => payload === UPGRADE && done()));
  });
  await page.goto(address);
  return { page, complaints, upgraded };
}
