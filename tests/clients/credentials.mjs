/** A client with tokens: `node credentials.mjs URL polling|websocket|upgrade SECRET`. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import test from "node:test";
import { next, open } from "./harness.mjs";

const secret = process.argv[4];

/** Returns a token of ann's, valid for some seconds. */
function token(seconds) {
  const parts = [{ alg: "HS256" }, { sub: "ann", exp: Date.now() / 1000 + seconds }];
  const message = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
}

test("a client that is out of date stays out until it connects with another token", async (t) => {
  const times = [2, 60];
  const ann = open((give) => give({ token: token(times.shift()) }), { reconnection: true, reconnectionDelay: 20 });
  t.after(() => ann.close());
  await ann.connected();
  const { socket } = ann;
  const [reason, failure] = await Promise.all([next(socket, "disconnect"), ann.next("error")]);
  assert.equal(reason, "io server disconnect");
  assert.deepEqual([failure.event, failure.error.code], ["connect", "TOKEN_EXPIRED"]);
  assert.equal(socket.active, false);

  socket.connect();
  await ann.connected();
  assert.equal((await ann.ok("joinRoom", { roomId: "r" })).userId, "ann");
  const { expiresAt } = await ann.ok("refreshAuth", { token: token(120) });
  assert.ok(Date.parse(expiresAt) > Date.now());
});

test("a client without a token is told so", async (t) => {
  const nobody = open({});
  t.after(() => nobody.close());
  const { message } = await next(nobody.socket, "connect_error");
  assert.match(message, /^UNAUTHORIZED: /);
});
