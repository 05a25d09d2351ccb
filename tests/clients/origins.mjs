/**
 * Pages of other origins in Chromium: `node origins.mjs URL LISTED FOREIGN`, with the ports of an allowed site and of
 * another one.
 */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { argv } from "node:process";
import { test } from "node:test";
import { launch, visit } from "./browser.mjs";

const [, , url, listed, foreign] = argv;

/** Serves a page with the official client at a port. */
async function site(t, browser, port) {
  const html = `<!doctype html><script src="${url}/socket.io/socket.io.js"></script>`;
  const server = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end(html));
  await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
  t.after(() => server.close().closeAllConnections());
  return (await visit(t, browser, `http://127.0.0.1:${port}/`)).page;
}

/** Returns the transport of the client's connection, or the status and text of the refusal. */
function connect(page, options) {
  return page.evaluate(
    ([url, options]) =>
      new Promise((done) => {
        const socket = io(url, { auth: { userId: "ann" }, reconnection: false, ...options });
        socket.on("connect", () => done({ connected: socket.io.engine.transport.name }));
        socket.on("connect_error", ({ message, context }) => {
          done({ message, status: context?.status, text: context?.responseText });
        });
      }),
    [url, options],
  );
}

test("a listed page connects with headers of its own", async (t) => {
  const page = await site(t, await launch(t), listed);
  const extraHeaders = { "x-clientid": "7", authorization: "Bearer nothing" };
  for (const withCredentials of [false, true]) {
    assert.deepEqual(await connect(page, { transports: ["polling"], extraHeaders, withCredentials }), { connected: "polling" });
  }
  assert.deepEqual(await connect(page, { transports: ["websocket"] }), { connected: "websocket" });
});

test("a foreign page reads why it is refused", async (t) => {
  const page = await site(t, await launch(t), foreign);
  for (const withCredentials of [false, true]) {
    const { status, text } = await connect(page, { transports: ["polling"], withCredentials });
    assert.equal(status, 403);
    assert.match(text ?? "", /ALLOWED_ORIGINS/);
  }
  assert.equal((await connect(page, { transports: ["websocket"] })).message, "websocket error");
  const preflighted = await connect(page, { transports: ["polling"], extraHeaders: { "x-clientid": "7" } });
  assert.equal(preflighted.message, "xhr poll error");
});
