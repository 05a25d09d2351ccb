/** Changed messages on the page: `node page_changes.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { io } from "socket.io-client";
import { launch } from "./browser.mjs";
import { url, within } from "./harness.mjs";
import { Visitor } from "./page.mjs";

const browser = await launch({ after });

test("edits, reactions, pins and deletions appear on the page, and are there after a reload", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "changes");
  const bob = io(url, { auth: { userId: "bob" } });
  t.after(() => bob.close());
  const call = async (event, payload) => {
    const answer = await within(event, bob.emitWithAck(event, { roomId: "changes", ...payload }));
    assert.equal(answer.status, "ok", JSON.stringify(answer));
  };
  await call("joinRoom", {});
  await call("sendMessage", { message: "frist" });
  await call("sendMessage", { message: "second" });
  assert.deepEqual(await ann.texts(2), ["frist", "second"]);

  await call("editMessage", { seq: 1, message: "first" });
  await call("setReaction", { seq: 1, reaction: "👍", on: true });
  await call("setPinned", { seq: 1, on: true });
  await call("deleteMessage", { seq: 2 });
  const shows = async () => {
    await ann.sees("[data-seq='2'] .body", "Message deleted");
    await ann.sees("[data-seq='1'] .body", "first");
    await ann.sees("[data-seq='1'] .reactions", "👍 1");
    assert.match(await ann.page.locator("[data-seq='1'] .meta").textContent(), /^pinned edited /);
  };
  await shows();
  await ann.page.reload();
  await shows();
});
