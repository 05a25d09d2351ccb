/** `static/parlor-client.js` on a server with a slow rate of sends: `node parlor_client_paced.mjs URL TRANSPORT`. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { url, within } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

const SENDS = 200;

test("messages sent at once are stored, once and in order, as fast as the server allows", async (t) => {
  const socket = io(url, { auth: { userId: "ann" } });
  t.after(() => socket.close());
  const room = await within("the join", new Parlor(socket, null).joinRoom("room"));
  let asked = 0;
  socket.onAnyOutgoing(() => (asked += 1));
  const texts = Array.from({ length: SENDS }, (_, place) => `message ${place + 1}`);
  const stored = await within("the receipts", Promise.all(texts.map((text) => room.send(text))));
  assert.deepEqual(stored.map(({ seq, message }) => [seq, message]), texts.map((text, place) => [place + 1, text]));
  assert.ok(asked > SENDS, "no send was refused");
});
