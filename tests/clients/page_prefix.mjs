/** The page behind a proxy, under a path of its own: `node page_prefix.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { within } from "./harness.mjs";
import { Visitor } from "./page.mjs";
import { PREFIX, startProxy } from "./proxy.mjs";

const browser = await launch({ after });

test("people chat on a page under a path, by WebSocket, and reload it", async (t) => {
  const base = await startProxy(t);
  const bob = await Visitor.join(t, browser, "bob", "tea");
  const ann = await Visitor.open(t, browser, "ann", "tea", { base });
  const requested = [];
  ann.page.on("request", (request) => requested.push(request.url()));
  await ann.page.reload();
  await ann.enter();
  await within("the upgrade to WebSocket", ann.upgraded);
  await ann.connected("WebSocket");
  await ann.say("from under a path");
  assert.deepEqual(await bob.texts(1), ["from under a path"]);

  const { pathname, search } = new URL(ann.page.url());
  assert.deepEqual([pathname, search], [PREFIX, "?room=tea"]);
  await ann.page.reload();
  await ann.connected();
  assert.deepEqual(await ann.texts(1), ["from under a path"]);
  assert.deepEqual(requested.filter((address) => !address.startsWith(base)), []);
  assert.deepEqual(ann.complaints, []);
});
