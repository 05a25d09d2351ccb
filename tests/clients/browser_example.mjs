/**
 * A page of `examples/clients` in Chromium, from a site of its own: `node browser_example.mjs URL PORT FILE USER`.
 *
 * Serves the page on the port, and sends "hello from USER" in it, then each line of stdin. Writes the conversation to
 * stdout and the page's status to stderr, line by line. A signal ends it and the browser. SIGUSR2 sets the page's clock
 * ahead, as after a sleep.
 */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { argv, exit, stdin } from "node:process";
import { createInterface } from "node:readline";
import { ASLEEP_MS } from "./asleep.mjs";
import { launch, visit } from "./browser.mjs";

const [, , url, port, name, user] = argv;
const file = new URL(`../../examples/clients/${name}`, import.meta.url);
const html = readFileSync(file, "utf8").replaceAll("http://localhost:3000", url);

const site = createServer((request, response) => {
  response.writeHead(request.url === "/" ? 200 : 204, { "content-type": "text/html" }).end(request.url === "/" ? html : "");
});
await new Promise((listening) => site.listen(port, "127.0.0.1", listening));

/** Stands in for a test. */
const run = { after() {}, diagnostic: console.error };

const browser = await launch(run);
browser.on("disconnected", () => exit());
const { page } = await visit(run, browser, "about:blank");
await page.exposeFunction("said", console.log);
await page.exposeFunction("reported", console.error);
await page.addInitScript(() => {
  const tell = { messages: window.said, problem: window.reported, status: window.reported };
  const look = ({ target, addedNodes }) => addedNodes.forEach((node) => tell[target.id]?.(node.textContent));
  new MutationObserver((changes) => changes.forEach(look)).observe(document, { childList: true, subtree: true });
});
await page.goto(`http://127.0.0.1:${port}/`);

async function say(text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

process.removeAllListeners("SIGUSR2");
process.on("SIGUSR2", async () => {
  await page.evaluate((ms) => {
    const { now } = Date;
    Date.now = () => now() + ms;
  }, ASLEEP_MS);
  console.error("asleep");
});
await say(`hello from ${user}`);
for await (const line of createInterface({ input: stdin })) await say(line);
