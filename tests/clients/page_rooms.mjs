/** Rooms with titles and members, by hand on the page: `node page_rooms.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { assertUsable } from "./looks.mjs";
import { TOUCH_PHONE, Visitor, picture } from "./page.mjs";

const browser = await launch({ after });

/** Fills in the form for a new room, and submits it. */
async function create({ page }, room, { title = "", isPrivate = false, members = [] }) {
  const form = page.locator("#create-form");
  if (!(await page.locator("#rooms").isVisible())) await page.locator("#rooms-button").click();
  if (!(await form.isVisible())) await page.getByText("New room").click();
  await form.getByLabel("Room's name").fill(room);
  await form.getByLabel("Title").fill(title);
  await form.getByLabel("Members only").setChecked(isPrivate);
  await form.getByLabel("Other members").fill(members.join("\n"));
  await form.getByRole("button", { name: "Create" }).click();
}

/** Creates a room, and waits until the page is in it. */
async function found(visitor, room, settings) {
  await create(visitor, room, settings);
  await visitor.page.waitForURL((address) => address.searchParams.get("room") === room);
  await visitor.page.locator("#text:enabled").waitFor();
}

/** Waits for the names, with their roles, in the dialog. */
async function lists({ page }, expected) {
  const items = page.locator("#role-list li");
  const names = () => items.evaluateAll((all) => all.map((item) => [...item.querySelectorAll(".name, .tag")].map((part) => part.textContent).join(" ")));
  for (let tries = 0; tries < 100 && `${await names()}` !== `${expected}`; tries += 1) await page.waitForTimeout(100);
  assert.deepEqual(await names(), expected);
}

test("a room is created by the form, and its title is shown to all", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "before");
  await found(ann, "garden", { title: "The garden club", members: ["bob", "  cleo  ", ""] });
  await ann.sees("#title", "The garden club");
  await ann.sees("#room-id", "garden");
  await ann.sees("#beginning", "No messages yet.");
  assert.equal(await ann.page.title(), "The garden club · Parlor");
  const bob = await Visitor.join(t, browser, "bob", "garden");
  await bob.sees("#title", "The garden club");
  assert.equal(await bob.page.locator("#settings-button").isVisible(), false, "members change nothing");
  await ann.page.locator("#rooms-button").click();
  await ann.sees("#room-list [aria-current] .name", "The garden club");
  await picture(ann.page, "rooms-titles");
  await assertUsable(ann.page);

  // A second room of this name is refused where it was asked for.
  await create(ann, "garden", {});
  await ann.sees("#create-trouble", "There is a room of this name already.");
  await assertUsable(ann.page);
  await ann.page.keyboard.press("Escape");
  assert.equal(await ann.page.locator("#rooms").isVisible(), false);
});

test("an owner changes the title and the members in the dialog, which the keyboard opens and closes", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "first");
  await found(ann, "workshop", { members: ["bob"] });
  await ann.sees("#title", "workshop");
  assert.equal(await ann.page.locator("#room-id").isVisible(), false);
  const bob = await Visitor.join(t, browser, "bob", "workshop");
  const button = ann.page.locator("#settings-button");
  await button.focus();
  await ann.page.keyboard.press("Enter");
  await lists(ann, ["ann owner you", "bob"]);
  await picture(ann.page, "settings");
  await assertUsable(ann.page);

  const dialog = ann.page.getByRole("dialog");
  await dialog.getByLabel("Title").fill("Wood & glue");
  await ann.page.keyboard.press("Enter");
  await ann.sees("#settings-result", "Title saved.");
  for (const one of [ann, bob]) await one.sees("#title", "Wood & glue");
  await dialog.getByLabel("Add a member").fill("dan");
  await ann.page.keyboard.press("Enter");
  await ann.sees("#settings-result", "dan is a member.");
  await lists(ann, ["ann owner you", "bob", "dan"]);
  await dialog.getByLabel("Add a member").fill("é".repeat(65));
  await ann.page.keyboard.press("Enter");
  await ann.sees("#settings-trouble", "A member's name cannot be used");
  await assertUsable(ann.page);

  const membersShown = await ann.page.locator("#members").isVisible();
  await ann.page.keyboard.press("Escape");
  assert.equal(await dialog.count(), 0);
  assert.equal(await ann.page.locator("#members").isVisible(), membersShown, "the panel behind the dialog stays");
  assert.equal(await button.evaluate((element) => element === document.activeElement), true);
});

test("one who is removed is back at the form, which says so", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "lobby");
  await found(ann, "private", { title: "Just us", isPrivate: true, members: ["bob"] });
  const bob = await Visitor.join(t, browser, "bob", "private");
  const eve = await Visitor.open(t, browser, "eve", "private");
  await eve.submitForm();
  await eve.sees("#refusal", "Only members may enter this room.");
  await bob.say("hello");
  await ann.page.locator("#settings-button").click();
  await ann.page.getByRole("button", { name: "Remove bob" }).click();
  await ann.sees("#settings-result", "bob is removed.");
  await lists(ann, ["ann owner you"]);
  await bob.sees("#refusal", "You were removed from this room.");
  await picture(bob.page, "removed");
  await assertUsable(bob.page);
  await bob.submitForm();
  await bob.sees("#refusal", "You were removed from this room.");

  await ann.page.getByLabel("Add a member").fill("bob");
  await ann.page.keyboard.press("Enter");
  await ann.sees("#settings-result", "bob is a member.");
  await bob.enter();
  assert.deepEqual(await bob.texts(1), ["hello"]);
});

test("a phone shows the form and the dialog", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "start", { ...TOUCH_PHONE, colorScheme: "dark" });
  await ann.page.locator("#rooms-button").tap();
  await ann.page.getByText("New room").tap();
  await picture(ann.page, "create-phone");
  await assertUsable(ann.page);
  await found(ann, "pocket", { title: "A room with a rather long title on a small phone", members: ["bob", "cleo", "dan"] });
  await ann.page.locator("#settings-button").tap();
  await lists(ann, ["ann owner you", "bob", "cleo", "dan"]);
  await picture(ann.page, "settings-phone");
  await assertUsable(ann.page);
  const { width, right } = await ann.page.locator("#settings").evaluate((dialog) => ({ width: innerWidth, right: dialog.getBoundingClientRect().right }));
  assert.ok(right <= width && (await ann.page.evaluate(() => document.documentElement.scrollWidth)) <= width);
  await ann.page.getByRole("button", { name: "Close the dialog" }).tap();
  assert.equal(await ann.page.getByRole("dialog").count(), 0);
});
