/** A send on a connection with an overdue ping: `node faults_expired.mjs URL`. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { next, url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

test("a send that the stock client keeps for its next connection is stored once", async (t) => {
  const socket = io(url, { auth: { userId: "ann" }, forceNew: true, reconnectionDelay: 20 });
  t.after(() => socket.close());
  const room = await within("the join", new Parlor(socket, null).joinRoom("expired"));
  const { engine } = socket.io;
  engine._hasPingExpired = () => true;
  const receipt = room.send("hello");
  assert.equal(socket.sendBuffer.length, 1);
  engine.close();
  await next(socket, "connect");
  assert.equal((await within("the receipt", receipt)).seq, 1);
});
