/**
 * A tab as a party of calls: its id, and its part in a room's call.
 *
 * @import { Call } from "./parlor.js"
 * @import { Room } from "./parlor-client.js"
 * @import { Servers } from "./parlor-servers.js"
 *
 * @typedef {"none" | "ringing" | "ongoing" | "elsewhere" | "interrupted" | "joining" | "joined"} CallState Nothing goes on; a call rings
 *   for the user; others are in a call; the user is in it in another tab; this tab was in it before a reload, and may come back; it is
 *   about to be in; it is in.
 *
 * @typedef {object} Part A client's part in a call.
 * @property {string} callId
 * @property {Servers} servers
 * @property {boolean} entered true once the server has taken it in
 * @property {boolean} present true while the connection to the server is that of the party
 * @property {boolean} seen true once the room's state has it
 */

import { newId } from "./parlor-outbox.js";

const KEY = "parlorParty";
/** The time in which a reloaded page gives its id free. */
const FREED_MS = 1_000;

/**
 * Returns the state of a tab that is in no call.
 * @param {Call | null} call
 * @param {Pick<Room, "userId" | "state">} room
 * @param {string} partyId empty: not known yet
 * @returns {CallState}
 */
export function stateOutside(call, { userId, state }, partyId) {
  if (!call || call.state === "ended") return "none";
  if (!partyId) return "ongoing";
  const own = call.parties.find((party) => party.userId === userId);
  if (own) return own.partyId === partyId ? "interrupted" : "elsewhere";
  const isMeant = call.startedBy !== userId && (call.to?.includes(userId) ?? true) && !call.rejectedBy?.includes(userId);
  // Without a connection, nobody can answer.
  return call.state === "ringing" && isMeant && state === "joined" ? "ringing" : "ongoing";
}

/**
 * Returns this tab's id, which survives reloads, and holds it while the page is there: a duplicated tab starts with a copy of the
 * storage, and gets a new id.
 */
export async function claimParty() {
  const kept = stored();
  if (kept && (await hold(kept))) return kept;
  const made = newId();
  hold(made);
  try {
    sessionStorage.setItem(KEY, made);
  } catch {
    // The browser's settings forbid it: the id lives as long as the page.
  }
  return made;
}

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Resolves with false if another page holds the id. Pages on plain HTTP have no locks. @param {string} partyId @returns {Promise<boolean>} */
function hold(partyId) {
  if (!globalThis.navigator?.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const held = () => {
      resolve(true);
      return new Promise(() => {});
    };
    const limit = { signal: AbortSignal.timeout(FREED_MS) };
    navigator.locks.request(`parlorParty:${partyId}`, limit, held).catch(() => resolve(false));
  });
}
