/**
 * `static/parlor-client.js` when its server is killed: `node parlor_client_replaced.mjs URL PID`.
 *
 * The Rust side then starts a server on an empty database in its place.
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

test("a room whose log was lost shows what is there now, rather than a mixture", async (t) => {
  const socket = io(url, { auth: { userId: "ann" } });
  t.after(() => socket.close());
  const room = await within("the join", new Parlor(socket, null).joinRoom("room"));
  const shown = new Promise((resolve) => room.on("message", resolve));
  await within("the receipt", room.send("hello"));
  await within("the message", shown);
  const reset = new Promise((resolve) => room.on("reset", resolve));
  kill(Number(argv[3]), "SIGKILL");
  assert.deepEqual(await within("the reset", reset), []);
  const { seq } = await within("the receipt", room.send("hello again"));
  await within("the end", new Promise((resolve) => (room.messages.length > 0 ? resolve() : room.on("message", resolve))));
  assert.deepEqual([room.state, seq, room.messages.map(({ message }) => message)], ["joined", 1, ["hello again"]]);
});
