/** The page of the example backends, in Chromium: `node backend_page.mjs URL USER PASSWORD`. */

import { argv } from "node:process";
import test, { after } from "node:test";
import { launch, visit } from "./browser.mjs";

const [, , url, username, password] = argv;
const browser = await launch({ after });

test("a user who is signed in hears of the order, answers, and finds both after a reload", async (t) => {
  const { page } = await visit(t, browser, url, { httpCredentials: { username, password } });
  await page.getByText("shop: Thank you for your order.").waitFor();
  await page.getByLabel("Message").fill("When will it come?");
  await page.getByRole("button", { name: "Send" }).click();
  const answer = page.getByText(`${username}: When will it come?`);
  await answer.waitFor();
  await page.reload();
  await answer.waitFor();
  await page.getByText("shop: Thank you for your order.").waitFor();
});
