/** The page at `/admin`, of a server with a conversation in the room "support-1", claimed by olga: `node admin_conversation.mjs URL websocket KEY`. */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { launch, visit } from "./browser.mjs";
import { url } from "./harness.mjs";
import { assertUsable } from "./looks.mjs";
import { DESKTOP, picture } from "./page.mjs";

const [, , , , KEY] = argv;
const browser = await launch({ after });

test("an administrator sees the operator of a conversation, and closes it", async (t) => {
  const { page, complaints } = await visit(t, browser, `${url}/admin#room=support-1`, { viewport: DESKTOP });
  await page.getByLabel("API key or service token").fill(KEY);
  await page.getByRole("button", { name: "Open", exact: true }).click();
  const detail = page.locator("#detail");
  await detail.getByText("Claimed by olga").waitFor();
  await assertUsable(page);
  await picture(page, "admin-conversation");
  await detail.getByRole("button", { name: "Close conversation" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Close this conversation?").waitFor();
  await dialog.getByRole("button", { name: "Close conversation" }).click();
  await dialog.waitFor({ state: "hidden" });
  await detail.getByText("Closed", { exact: true }).waitFor();
  await detail.getByRole("button", { name: "Close conversation" }).waitFor({ state: "hidden" });
  assert.deepEqual(complaints, []);
});
