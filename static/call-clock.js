/** The line that tells how a call stands, second by second. */

/** @import { Calls } from "./parlor-call.js" */

import { isolated } from "./text.js";
import { counter } from "./call-words.js";

/**
 * Returns the line of a call.
 * @param {Calls} calls
 * @param {string} departed the user who left last
 * @param {number} now milliseconds since 1970
 * @returns {(Node | string)[]}
 */
export function lineOf({ call, state, parties }, departed, now) {
  if (!call || state === "joining" || state === "interrupted") return ["Connecting…"];
  const left = Math.max(Math.ceil((Date.parse(call.expiresAt ?? "") - now) / 1_000), 0) || 0;
  if (call.state === "ringing") return state === "joined" ? ["Ringing…"] : [];
  if (call.parties.length === 1 && state === "joined") {
    const ends = call.expiresAt ? `the call ends in ${left} s.` : "you are alone in the call.";
    return departed ? [isolated(departed), ` has left; ${ends}`] : [`Nobody else is here; ${ends}`];
  }
  if ([...parties.values()].some(({ path }) => path === "lost")) return ["Reconnecting…"];
  return [counter(now - Date.parse(call.answeredAt ?? call.startedAt))];
}
