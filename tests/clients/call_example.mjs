/** `examples/calls/call.html` in two pages, from a site of its own: `node call_example.mjs URL PORT`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { argv } from "node:process";
import test from "node:test";
import { launch, visit } from "./browser.mjs";
import { CALLS } from "./calls.mjs";

const [, , url, port] = argv;
const file = new URL("../../examples/calls/call.html", import.meta.url);
const html = readFileSync(file, "utf8").replaceAll("http://localhost:3000", url);

test("two users see each other on the example's pages, until one hangs up", async (t) => {
  const site = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end(html));
  await new Promise((listening) => site.listen(port, "127.0.0.1", listening));
  t.after(() => site.close());
  const browser = await launch(t, CALLS);
  const people = await Promise.all(["ann", "bob"].map((user) => visit(t, browser, `http://127.0.0.1:${port}/#${user}`)));
  const [ann, bob] = people.map(({ page }) => page);

  await ann.getByRole("button", { name: "Call" }).click();
  await bob.getByText("ann calls").waitFor();
  await bob.getByRole("button", { name: "Accept" }).click();
  for (const page of [ann, bob]) {
    await page.waitForFunction(() => {
      const video = document.querySelector("video");
      return video?.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 5;
    });
  }
  await bob.getByRole("button", { name: "Hang up" }).click();
  await bob.getByText("Ended: hungUp").waitFor();
  await ann.waitForFunction(() => !document.querySelector("video"));

  await ann.getByRole("button", { name: "Hang up" }).click();
  await bob.getByRole("button", { name: "Call" }).click();
  await ann.getByRole("button", { name: "Decline" }).click();
  await bob.getByText("Ended: rejected").waitFor();
  assert.deepEqual(people.flatMap(({ complaints }) => complaints), []);
});
