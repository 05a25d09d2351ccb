/** The page's words for refusals: `node words.mjs`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { refusedAct, refusedCall, refusedEntry, refusedRoom, refusedSend, troubled } from "../../static/words.js";
import { TECHNICAL } from "./page.mjs";

test("every code has words, for those who enter, those who send, those who run a room, those who call and administrators", () => {
  const contract = readFileSync(new URL("../../static/parlor.d.ts", import.meta.url), "utf8");
  const type = /export type ErrorCode =([\s\S]*?)";/.exec(contract)[1];
  const codes = [...type.matchAll(/\| "([A-Z_]+)/g)].map(([, code]) => code);
  assert.ok(codes.length >= 10);
  const unknown = { code: "NO_SUCH_CODE", message: "?" };
  for (const words of [refusedEntry, refusedSend, refusedRoom, refusedCall, refusedAct]) {
    const texts = codes.map((code) => words({ code, message: "it says so" }).text);
    assert.match(words(unknown).text, /\.$/);
    for (const [place, text] of texts.entries()) {
      assert.match(text, /^[A-Z].*\.$/, codes[place]);
      assert.doesNotMatch(text, TECHNICAL, codes[place]);
      assert.notEqual(text, words(unknown).text, codes[place]);
    }
    assert.equal(words({ code: "INTERNAL", message: "internal error 0193" }).detail, "INTERNAL: internal error 0193");
  }
});

test("each of several reasons with one code has its words", () => {
  const entry = (code, message) => refusedEntry({ code, message }).text;
  assert.match(entry("FORBIDDEN", "roomId: the token is not for this room"), /may not enter this room/);
  assert.match(entry("FORBIDDEN", "roomId: a connection may be in 256 rooms at most"), /too many rooms/);
  assert.match(entry("FORBIDDEN", "roomId: you were removed from this room"), /You were removed/);
  assert.match(entry("FORBIDDEN", "roomId: this room is for its members only"), /Only members/);
  assert.match(entry("FORBIDDEN", 'userId: this connection speaks for "ann"'), /this name/);
  for (const message of ["this origin may not connect", "pages of this origin may not connect: ALLOWED_ORIGINS does not list it"]) {
    assert.match(entry("FORBIDDEN", message), /does not accept the address/);
  }
  assert.match(entry("INTERNAL", "the server lost messages of this room; join anew"), /lost messages/);
  for (const [message, fault] of [
    ["userId: must be 1 to 128 bytes of UTF-8", "too long"],
    ["auth: userId: must be without half emoji and other damaged characters (U+FFFD)", "broken"],
    ["userId: must not begin or end with a space", "space"],
    ["userId: must be without U+200B, which cannot be seen or looks like a space", "invisible"],
  ]) {
    assert.match(entry("INVALID_PAYLOAD", message), new RegExp(`^This name cannot be used: .*${fault}`));
    assert.match(entry("INVALID_PAYLOAD", message.replace("userId", "roomId")), /^This room's name cannot be used/);
  }
  const room = (code, message) => refusedRoom({ code, message }).text;
  assert.match(room("INVALID_PAYLOAD", "title: must be at most 256 bytes of UTF-8"), /^This title/);
  assert.match(room("INVALID_PAYLOAD", "roomId: must be 1 to 128 bytes of UTF-8"), /^This room's name/);
  assert.match(room("INVALID_PAYLOAD", "userId: must be 1 to 128 bytes of UTF-8"), /^A member's name/);
  assert.match(room("FORBIDDEN", "roomId: the room is in use without an owner; only an operator may create it"), /write in a room/);
  assert.match(room("FORBIDDEN", "userId: the room needs an owner; make somebody else one first"), /needs an owner/);
  const send = (message) => refusedSend({ code: "INVALID_PAYLOAD", message }).text;
  assert.match(send("message: must not be blank"), /nothing/);
  assert.match(send("message: must not contain NUL"), /character/);
  const refused = (message) => refusedSend({ code: "FORBIDDEN", message }).text;
  for (const message of ["roomId: the token is not for this room", "seq: the message is too old to be edited", "only operators may pin messages in this room"]) {
    assert.equal(refused(message), "You may not write in this room.");
  }
  assert.equal(refused("No $& links, please."), "It is refused with the words “No $& links, please.”.");
  assert.match(troubled({ message: "UNAVAILABLE: the server is stopping" }).text, /Trying again\.$/);
  assert.match(troubled({ message: "TOKEN_EXPIRED: the token is out of date" }).text, /run out/);
});
