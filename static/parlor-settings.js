/**
 * A room's settings and members, as a client knows them.
 *
 * @import { Joined, Member, MembersPage, Removed, Role, RoomInfo, RoomSettings } from "./parlor.js"
 */

import { refusal } from "./parlor-request.js";

/** The most members read at once. */
const MOST_MEMBERS = 1_000;

/** @type {Record<Removed["reason"], string>} */
const REMOVALS = {
  removed: "you were removed from this room; somebody must add you before you can join it again",
  notMember: "this room is for its members only; somebody must add you before you can join it again",
};

export class Settings {
  /** The settings; `null` when nobody created the room. @type {RoomInfo | null} */
  info = null;
  /** The user's own role; `null` for none. @type {Role | null} */
  role = null;
  /** The room's revision when they changed last. */
  #revision = 0;

  /**
   * Takes the answer to a join, or a reset, which goes to everyone and has no `userId` and no role. Returns true if something is new.
   * @param {Partial<Joined>} answer
   */
  start({ userId, room, role }) {
    const isReset = userId === undefined;
    const newRole = isReset ? this.role : (role ?? null);
    const isNewRole = newRole !== this.role;
    this.role = newRole;
    this.#revision = room?.revision ?? 0;
    return this.#put(room ? infoOf(room) : null) || isNewRole;
  }

  /** Takes settings; earlier ones than the known ones change nothing. Returns true if they are new. @param {RoomSettings} room */
  take(room) {
    if (room.revision < this.#revision) return false;
    this.#revision = room.revision;
    return this.#put(infoOf(room));
  }

  /** @param {RoomInfo | null} info */
  #put(info) {
    const isNew = JSON.stringify(info) !== JSON.stringify(this.info);
    this.info = info;
    return isNew;
  }
}

/** Returns the settings alone. @param {RoomSettings} room @returns {RoomInfo} */
export function infoOf({ revision, ...info }) {
  return info;
}

/** Makes the refusal that ends a room from which the user was removed. @param {Removed} removed */
export function removal({ reason }) {
  return refusal({ code: "FORBIDDEN", message: REMOVALS[reason] ?? REMOVALS.removed, retryable: false });
}

/**
 * Reads the members page by page, at most 1,000.
 * @param {(cursor: string | null) => Promise<MembersPage>} read
 */
export async function readMembers(read) {
  /** @type {Member[]} */
  const members = [];
  let cursor = null;
  do {
    const page = /** @type {MembersPage} */ (await read(cursor));
    members.push(...page.members);
    cursor = page.cursor;
  } while (cursor !== null && members.length < MOST_MEMBERS);
  return members.slice(0, MOST_MEMBERS);
}
