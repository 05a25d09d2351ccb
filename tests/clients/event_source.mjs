/**
 * The browser's `EventSource` on a page of another origin: `node event_source.mjs URL PORT TOKEN`. Prints what the
 * page hears of the room `r`.
 */

import { createServer } from "node:http";
import { argv } from "node:process";
import { launch, visit } from "./browser.mjs";

const [, , url, port, token] = argv;

/** The page's code, as in docs/streams.md. */
async function listen([url, token]) {
  let last = "";
  async function open() {
    const answer = await fetch(`${url}/api/v1/tickets`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ roomId: "r" }),
    });
    const { ticket } = await answer.json();
    const query = new URLSearchParams({ roomId: "r", ticket, ...(last && { lastEventId: last }) });
    const events = new EventSource(`${url}/api/v1/events?${query}`);
    for (const name of ["ready", "newMessage"]) {
      events.addEventListener(name, (event) => {
        last = event.lastEventId;
        heard(event.type, event.data);
      });
    }
    events.onerror = () => {
      events.close();
      setTimeout(open, 200);
    };
  }
  await open();
}

/** The script runs until it is killed, and says what goes wrong. */
const forever = { after() {}, diagnostic: console.error };

const server = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>"));
await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
const { page } = await visit(forever, await launch(forever), `http://127.0.0.1:${port}/`);
let isReady = false;
await page.exposeFunction("heard", (name, data) => {
  if (name === "ready") {
    if (!isReady) console.log("ready");
    isReady = true;
    return;
  }
  const { seq, message } = JSON.parse(data);
  console.log(`${name} ${seq} ${message}`);
});
await page.evaluate(listen, [url, token]);
