/**
 * The page at `/admin`, of a server with the room "garden": `node admin.mjs URL websocket KEY light|dark`.
 *
 * With `SCREENSHOTS=folder`, it takes pictures.
 */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { launch, visit } from "./browser.mjs";
import { member, next, url, within } from "./harness.mjs";
import { assertUsable, morning } from "./looks.mjs";
import { DESKTOP, PHONE, TOUCH_PHONE, picture } from "./page.mjs";

const [, , , , KEY, colorScheme] = argv;
const MARKUP = `<img src=x onerror="alert('markup')">`;
const OVERVIEW = /\/api\/v1\/overview/;

const browser = await launch({ after });

/** An administrator with the page open. */
class Admin {
  static async open(t, { path = "admin", ...options } = {}) {
    const visitor = await visit(t, browser, `${url}/${path}`, { viewport: DESKTOP, colorScheme, timezoneId: morning(), ...options });
    return new Admin(visitor);
  }

  /** Opens the page and signs in. */
  static async enter(t, options) {
    const admin = await Admin.open(t, options);
    await admin.signIn(KEY);
    await admin.page.locator("#status", { hasText: "Live" }).waitFor();
    return admin;
  }

  constructor({ page, complaints }) {
    Object.assign(this, { page, complaints, detail: page.locator("#detail"), dialog: page.getByRole("dialog") });
  }

  async signIn(key) {
    await this.page.getByLabel("API key or service token").fill(key);
    await this.page.getByRole("button", { name: "Open", exact: true }).click();
  }

  /** Opens a room by its name, or a user. */
  async find(name, kind) {
    await this.page.getByLabel("Name of a room or a user").fill(name);
    await this.page.getByRole("button", { name: `Open ${kind}` }).click();
    await this.page.locator("#detail-title", { hasText: name }).waitFor();
  }

  async confirm(label) {
    await this.dialog.getByRole("button", { name: label }).click();
    await this.dialog.waitFor({ state: "hidden" });
  }

  /** Fails when the page is wider than the window. */
  async assertNarrow() {
    const beyond = await this.page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      const isBeyond = (element) => element.getBoundingClientRect().right > clientWidth + 1 && getComputedStyle(element).clipPath === "none";
      const culprits = Array.from(document.querySelectorAll("#admin *:not(thead, thead *)")).filter(isBeyond);
      return scrollWidth > clientWidth ? culprits.map(({ outerHTML }) => outerHTML.slice(0, 90)) : null;
    });
    assert.equal(beyond, null);
  }
}

test("a wrong key shows a clear error, and is not kept", async (t) => {
  const { page, complaints, ...admin } = await Admin.open(t);
  const other = Object.assign(Object.create(Admin.prototype), { page, complaints, ...admin });
  if (colorScheme === "light") await picture(page, "admin-sign-in");
  await assertUsable(page);
  for (const wrong of ["x".repeat(40), "é", "not a key"]) {
    await other.signIn(wrong);
    await page.getByRole("alert").filter({ hasText: "does not know this key" }).waitFor();
    assert.equal(await page.locator("#admin").isVisible(), false);
    assert.deepEqual(await page.evaluate(() => [sessionStorage.length, localStorage.length]), [0, 0]);
  }
  assert.ok(complaints.every((complaint) => complaint.includes("401")), complaints.join());
});

test("all scripts are asked for by the page itself, and none comes from elsewhere", async (t) => {
  const { page, complaints } = await Admin.enter(t);
  const { loaded, preloaded } = await page.evaluate(() => ({
    loaded: performance.getEntriesByType("resource").map(({ name }) => name),
    preloaded: [...document.querySelectorAll("link[rel=modulepreload], script")].map(({ href, src }) => href ?? src),
  }));
  assert.deepEqual(loaded.filter((name) => name.endsWith(".js")).sort(), preloaded.sort());
  assert.ok(loaded.every((name) => name.startsWith(url)), loaded.join());
  assert.deepEqual(complaints, []);
});

test("the key stays in the tab over a reload, and signing out forgets it", async (t) => {
  const { page } = await Admin.enter(t);
  await page.reload();
  await page.locator("#status", { hasText: "Live" }).waitFor();
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  assert.ok(!page.url().includes(KEY) && !(await page.content()).includes(KEY));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key or service token").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("an administrator sees a room, deletes a message and removes a member", async (t) => {
  const priya = await member(t, "Priya", "garden");
  await member(t, "Jonas", "garden");
  const { seq } = await priya.send("garden", "This must not stay.");
  const admin = await Admin.enter(t);
  const { page, detail } = admin;
  await page.getByRole("link", { name: "garden" }).click();
  await detail.getByText("This must not stay.").waitFor();
  for (const text of ["Garden club", "Everybody", "The seedlings are in."]) await detail.getByText(text).waitFor();
  assert.deepEqual(await detail.locator(".names a").allTextContents(), ["Jonas", "Priya"]);
  assert.deepEqual(await detail.locator(".member").allTextContents(), ["JonasmemberRemove", "MayamemberRemove", "PriyaownerRemove"]);
  await assertUsable(page);

  await detail.getByRole("button", { name: `Delete message ${seq} of Priya` }).click();
  await assertUsable(page);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel");
  await page.keyboard.press("Escape");
  await detail.getByText("This must not stay.").waitFor();
  await detail.getByRole("button", { name: `Delete message ${seq} of Priya` }).click();
  await picture(page, `admin-confirm-${colorScheme}`);
  await admin.confirm("Delete message");
  await detail.getByText("This must not stay.").waitFor({ state: "detached" });
  await detail.locator("li", { hasText: `#${seq}` }).getByText("Deleted").waitFor();

  await detail.getByRole("button", { name: "Remove Maya" }).click();
  const removal = /\/api\/v1\/members\?.*userId=Maya/;
  await page.route(removal, (route) => route.abort());
  await page.getByRole("button", { name: "Remove member" }).click();
  await admin.dialog.getByRole("alert").filter({ hasText: "The server cannot be reached." }).waitFor();
  await page.unroute(removal);
  await admin.confirm("Remove member");
  await detail.getByRole("button", { name: "Remove Maya" }).waitFor({ state: "detached" });

  await page.getByRole("link", { name: "Close" }).click();
  await detail.waitFor({ state: "hidden" });
  assert.deepEqual(admin.complaints.filter((complaint) => !complaint.includes("ERR_FAILED")), []);
});

test("an administrator opens a user, and disconnects it", async (t) => {
  const eve = await member(t, "eve", "hall");
  const admin = await Admin.enter(t);
  await admin.find("hall", "room");
  await admin.detail.getByRole("link", { name: "eve" }).click();
  await admin.detail.getByText("In rooms now").waitFor();
  assert.deepEqual(await admin.detail.locator(".names a").allTextContents(), ["hall"]);
  await picture(admin.page, `admin-user-${colorScheme}`);
  const disconnected = next(eve.socket, "disconnect");
  await admin.detail.getByRole("button", { name: "Disconnect" }).click();
  await admin.confirm("Disconnect user");
  assert.equal(await within("the end of the connection", disconnected), "io server disconnect");
  await admin.page.locator("#done", { hasText: "1 connection of eve ended." }).waitFor({ state: "attached" });
  await admin.page.locator("#detail button:disabled", { hasText: "Disconnect" }).waitFor();
  // The way back by the browser's own button.
  await admin.page.goBack();
  await admin.page.locator("#detail-title", { hasText: "hall" }).waitFor();
  assert.deepEqual(admin.complaints, []);
});

test("all of it works by the keyboard alone", async (t) => {
  await member(t, "kay", "keys");
  const admin = await Admin.open(t);
  const { page } = admin;
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  await page.keyboard.type(KEY);
  await press("Enter");
  await page.locator("#status", { hasText: "Live" }).waitFor();
  const link = page.getByRole("link", { name: "keys" });
  await link.focus();
  await press("Enter");
  await admin.detail.getByRole("link", { name: "kay" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "detail-title");
  await admin.detail.getByRole("link", { name: "kay" }).focus();
  await press("Enter");
  const disconnect = admin.detail.getByRole("button", { name: "Disconnect" });
  await page.locator("#detail button:enabled", { hasText: "Disconnect" }).waitFor();
  await disconnect.focus();
  await press("Enter", "Tab", "Enter");
  await page.locator("#done", { hasText: "1 connection of kay ended." }).waitFor({ state: "attached" });
});

test("markup in names and texts stays text", async (t) => {
  const mallory = await member(t, MARKUP, MARKUP);
  await mallory.send(MARKUP, MARKUP);
  const admin = await Admin.enter(t);
  await admin.find(MARKUP, "room");
  await admin.detail.locator(".messages .body", { hasText: MARKUP }).waitFor();
  await admin.detail.getByRole("button", { name: "Delete message 1" }).click();
  await admin.dialog.getByText(MARKUP).waitFor();
  await admin.page.keyboard.press("Escape");
  await admin.find(MARKUP, "user");
  await admin.detail.locator(".names", { hasText: MARKUP }).waitFor();
  assert.equal(await admin.page.locator("img:not([src='icon.svg'])").count(), 0);
  assert.deepEqual(admin.complaints, []);
});

test("a server that does not answer leaves the last figures, greyed, with their time", async (t) => {
  const admin = await Admin.enter(t);
  const { page } = admin;
  await page.route(OVERVIEW, (route) => route.abort());
  await page.getByRole("alert").filter({ hasText: "The server cannot be reached. Trying again. The figures are those of" }).waitFor();
  await page.locator("#status", { hasText: "As of" }).waitFor();
  assert.ok(await page.locator("#admin").evaluate(({ classList }) => classList.contains("stale")));
  assert.notEqual(await page.locator("#totals dd").first().textContent(), "");
  await picture(page, `admin-stale-${colorScheme}`);
  await page.unroute(OVERVIEW);
  await page.locator("#status", { hasText: "Live" }).waitFor();
  assert.ok(!(await page.locator("#admin").evaluate(({ classList }) => classList.contains("stale"))));
});

test("a page loaded while its server is away keeps the key", async (t) => {
  const { page } = await Admin.enter(t);
  await page.route(OVERVIEW, (route) => route.abort());
  await page.reload();
  await page.getByRole("alert").filter({ hasText: /^The server cannot be reached\./ }).waitFor();
  await page.unroute(OVERVIEW);
  await page.getByRole("button", { name: "Open", exact: true }).click();
  await page.locator("#status", { hasText: "Live" }).waitFor();
});

test("a key that is taken back leads to the form, with the reason", async (t) => {
  const { page } = await Admin.enter(t);
  const body = JSON.stringify({ error: { code: "TOKEN_EXPIRED", message: "the token is out of date", retryable: false } });
  await page.route(OVERVIEW, (route) => route.fulfill({ status: 401, contentType: "application/json", body }));
  await page.getByRole("alert").filter({ hasText: "This token has run out." }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("a tab that nobody sees asks nothing", async (t) => {
  const { page } = await Admin.enter(t);
  let asked = 0;
  page.on("request", (request) => (asked += Number(OVERVIEW.test(request.url()))));
  const setHidden = (isHidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  const clock = await page.context().newCDPSession(page);
  await setHidden(true);
  const before = asked;
  // A minute of the page's own time.
  await clock.send("Emulation.setVirtualTimePolicy", { policy: "advance", budget: 60_000 });
  await new Promise((resolve) => clock.once("Emulation.virtualTimeBudgetExpired", resolve));
  assert.ok(asked - before <= 1, `${asked - before} requests`);
  const again = page.waitForRequest(OVERVIEW);
  await setHidden(false);
  await again;
});

for (const [name, options] of [
  ["desktop", { viewport: DESKTOP }],
  ["laptop", { viewport: { width: 1024, height: 768 } }],
  ["phone", { ...TOUCH_PHONE, viewport: PHONE }],
  ["small-phone", { ...TOUCH_PHONE, viewport: { width: 320, height: 640 } }],
]) {
  test(`the page is usable: ${colorScheme}, ${name}`, async (t) => {
    const people = [];
    for (const [user, room] of [["Priya", "garden"], ["Jonas", "garden"], ["Tom", "support-4711"], ["Ann", "support-4711"], ["Lee", "x".repeat(128)]]) {
      people.push(await member(t, user, room));
    }
    await people[0].send("garden", "The basil is up! https://example.com/basil");
    const admin = await Admin.enter(t, options);
    const { page } = admin;
    await page.locator("#webhooks", { hasText: "receiver.invalid" }).waitFor();
    await page.getByRole("link", { name: "support-4711" }).waitFor();
    await admin.assertNarrow();
    await assertUsable(page);
    await picture(page, `admin-${colorScheme}-${name}`);
    await page.getByRole("link", { name: "garden" }).click();
    await admin.detail.getByText("The seedlings are in.").waitFor();
    await admin.assertNarrow();
    await assertUsable(page);
    await picture(page, `admin-room-${colorScheme}-${name}`);
    await page.goBack();
    await admin.detail.waitFor({ state: "hidden" });
    assert.deepEqual(admin.complaints, []);
  });
}
