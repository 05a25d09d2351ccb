/**
 * `static/parlor-client.js` when its server is killed: `node parlor_client_replaced.mjs URL PID`.
 *
 * The Rust side starts a server on an empty database in its place then.
 */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { argv, kill } from "node:process";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

test("a room whose log was lost is closed, rather than mixed with another one", async (t) => {
  const socket = io(url, { auth: { userId: "ann" } });
  t.after(() => socket.close());
  const room = await within("the join", new Parlor(socket, null).joinRoom("room"));
  await within("the receipt", room.send("hello"));
  const closed = new Promise((resolve) => room.on("closed", resolve));
  kill(Number(argv[3]), "SIGKILL");
  const { code, message } = await within("the end", closed);
  assert.deepEqual([code, message], ["INTERNAL", "the server lost messages of this room; join anew"]);
  assert.equal(room.state, "closed");
});
