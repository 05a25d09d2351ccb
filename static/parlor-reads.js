/**
 * How far the members of a room have read.
 *
 * @import { Message, Read } from "./parlor.js"
 */

export class Reads {
  /** The newest `seq` read by the user. */
  own = 0;
  /** The newest `seq` read by each user, as far as is known. @type {Map<string, number>} */
  all = new Map();
  /** The newest `seq` marked by the user. */
  #wanted = 0;
  #sending = false;

  /** Starts with a new log. */
  start() {
    this.own = 0;
    this.#wanted = 0;
    this.all = new Map();
  }

  /** Takes positions; an earlier one changes nothing. Returns true if one is new. @param {Read[]} reads @param {string} userId */
  take(reads, userId) {
    const later = reads.filter((read) => read.seq > (this.all.get(read.userId) ?? 0));
    for (const read of later) this.all.set(read.userId, read.seq);
    this.own = Math.max(this.own, this.all.get(userId) ?? 0);
    return later.length > 0;
  }

  /** Marks messages as read. Returns false if they were. @param {number} seq */
  mark(seq) {
    if (seq <= Math.max(this.own, this.#wanted)) return false;
    this.#wanted = seq;
    return true;
  }

  /** Returns the mark to send now, if any: one at a time, and the latest alone. */
  next() {
    if (this.#sending || this.#wanted <= this.own) return undefined;
    this.#sending = true;
    return this.#wanted;
  }

  /** Notes the end of a request. A refused mark is given up. @param {boolean} refused */
  ended(refused = false) {
    this.#sending = false;
    if (refused) this.#wanted = this.own;
  }
}
