/** The official client through a proxy: `node proxied.mjs URL TRANSPORT PATH ORIGIN`, as on a page of that origin. */

import assert from "node:assert/strict";
import { argv } from "node:process";
import { test } from "node:test";
import { next, open, transport } from "./harness.mjs";

const [, , , , path, origin] = argv;

test("a page that comes by the proxy chats by it", async (t) => {
  const client = open({ userId: "ann" }, { path, extraHeaders: { origin } });
  t.after(() => client.close());
  const { engine } = client.socket.io;
  const upgraded = transport === "upgrade" ? next(engine, "upgrade") : undefined;
  await Promise.all([client.connected(), upgraded]);
  assert.equal(engine.transport.name, transport === "polling" ? "polling" : "websocket");
  await client.ok("joinRoom", { roomId: "room" });
  await client.send("room", "hello");
  assert.deepEqual((await client.messages(1)).map(({ message }) => message), ["hello"]);
});
