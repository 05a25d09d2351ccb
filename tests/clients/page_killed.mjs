/**
 * Two pages whose server is killed: `node page_killed.mjs URL PID`.
 *
 * The Rust side then sends "missed 1" to "missed 3" to the room, and starts another server in its place.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { argv, kill } from "node:process";
import test, { after } from "node:test";
import { setTimeout } from "node:timers/promises";
import { launch } from "./browser.mjs";
import { within } from "./harness.mjs";
import { Visitor } from "./page.mjs";

const PID = Number(argv[3]);
const THREADS = `/proc/${PID}/task`;
const LOOK_MS = 10;

const browser = await launch({ after });

/** Returns true when all of the server's threads have stopped, or, on systems without a list of them, its process. */
function hasStopped() {
  if (existsSync(THREADS)) return readdirSync(THREADS).every(threadHasStopped);
  return execFileSync("ps", ["-o", "state=", "-p", PID], { encoding: "utf8" }).startsWith("T");
}

function threadHasStopped(thread) {
  try {
    // The state follows the name, which is in parentheses.
    return /.*\) T/s.test(readFileSync(`${THREADS}/${thread}/stat`, "utf8"));
  } catch {
    // The thread has ended meanwhile; check the others again.
    return false;
  }
}

/** Stops the server. After `kill` returns, threads go on until the signal has reached them. */
async function stopServer() {
  kill(PID, "SIGSTOP");
  while (!hasStopped()) await setTimeout(LOOK_MS);
}

test("a message that was being sent when the server was killed arrives once", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", "room");
  const bob = await Visitor.join(t, browser, "bob", "room");
  await Promise.all([ann.connected("WebSocket"), bob.connected("WebSocket")]);
  await bob.say("before");
  await ann.conversation(1);

  // So that the message is sent, and not read.
  await within("the server to stop", stopServer());
  await ann.say("under way");
  await ann.sees("#outbox .meta", "Sending…");
  kill(PID, "SIGKILL");

  const said = ["before", "missed 1", "missed 2", "missed 3", "under way"];
  for (const visitor of [ann, bob]) {
    assert.deepEqual(await visitor.texts(said.length), said);
    assert.match(await visitor.page.locator(".away").textContent(), /^You were away · [34] new$/);
    assert.equal(await visitor.page.locator(".away + .message .body").textContent(), "missed 1");
    await visitor.connected("WebSocket");
  }
  assert.equal(await ann.messages.last().locator(".check").textContent(), "Sent");
});
