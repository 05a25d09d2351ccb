/** `examples/signals/cursors.html` in two pages, from a site of its own: `node cursors.mjs URL PORT`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { argv } from "node:process";
import test from "node:test";
import { launch, visit } from "./browser.mjs";
import { within } from "./harness.mjs";

const [, , url, port] = argv;
const file = new URL("../../examples/signals/cursors.html", import.meta.url);
const html = readFileSync(file, "utf8").replaceAll("http://localhost:3000", url);

test("a cursor moves on the page of another user, and goes with its user", async (t) => {
  const site = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end(html));
  await new Promise((listening) => site.listen(port, "127.0.0.1", listening));
  t.after(() => site.close());
  const browser = await launch(t);
  const [ann, bob] = await Promise.all(
    ["ann", "bob"].map(async (user) => (await visit(t, browser, `http://127.0.0.1:${port}/#${user}`)).page),
  );
  const cursor = bob.getByText("↖ ann");
  for (const [x, y] of [[100, 150], [300, 50]]) {
    const isThere = async () => (await cursor.count()) === 1 && isAt(await cursor.boundingBox(), x, y);
    // The first moves may come before the joins, and one may come too soon after another.
    const moving = async () => {
      for (let moved = 0; !(await isThere()); moved++) {
        await ann.mouse.move(x, y + (moved % 2));
        await bob.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
      }
    };
    await within("the cursor", moving());
  }
  assert.equal(await ann.locator("i").count(), 0);
  await ann.close();
  await cursor.waitFor({ state: "detached" });
});

function isAt({ x, y }, left, top) {
  return x === left && (y === top || y === top + 1);
}
