/** Four pages of two servers on one database, in one call: `node page_call_four.mjs URL OTHER_URL`. */

import assert from "node:assert/strict";
import { argv } from "node:process";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { CALLS, Caller, allReceive } from "./calls.mjs";
import { picture } from "./page.mjs";

const [, , here, there] = argv;

const browser = await launch({ after }, CALLS);

test("four people see and hear each other, also after one was reloaded and another one left", async (t) => {
  const places = [["ann", here], ["bob", there], ["carol", here], ["dan", there]];
  const four = await Promise.all(places.map(([name, server]) => Caller.at(t, browser, server, name, "four")));
  await four[0].calls(...four.slice(1));
  await allReceive(four);
  for (const one of four) assert.equal(await one.page.locator(".tile").count(), 4);
  await picture(four[0].page, "call-four");
  await four[1].page.reload();
  await allReceive(four);
  await four[3].press("Hang up");
  const three = four.slice(0, 3);
  for (const one of three) await one.page.locator('#tiles[data-count="3"]').waitFor();
  await allReceive(three);
});
