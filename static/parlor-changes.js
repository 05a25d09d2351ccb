/**
 * The changes of a room's messages, as a client follows them.
 *
 * @import { Message, MessageChanged } from "./parlor.js"
 */

/** The most changes kept of messages that the client does not have. */
const MOST_KEPT = 256;

export class Changes {
  /** The room's revision up to which nothing is missing. */
  revision = 0;
  /** True while missing changes are being read. */
  reading = false;
  /** The latest changes of messages that were not there: a page read meanwhile may have an earlier state. @type {Map<number, Message>} */
  #kept = new Map();

  /** Starts with a new log. A server of an earlier version has no revisions. @param {number | undefined} revision */
  start(revision) {
    this.revision = revision ?? 0;
    this.#kept.clear();
  }

  /** Follows a live change. Returns false if changes before it are missing. @param {MessageChanged} changed */
  follow({ revision, previous }) {
    if (previous > this.revision) return false;
    this.revision = Math.max(this.revision, revision);
    return true;
  }

  /**
   * Puts a message's state in the place of an earlier one. Returns the place, if it was there and changed.
   * @param {Message[]} messages in the order of `seq`
   * @param {Message} message
   */
  put(messages, message) {
    const place = find(messages, message.seq);
    if (messages[place]?.seq !== message.seq) {
      this.#keep(message);
      return undefined;
    }
    if (revisionOf(messages[place]) >= revisionOf(message)) return undefined;
    messages[place] = message;
    return place;
  }

  /** Returns the later state of a message that was just read. @param {Message} message */
  newest(message) {
    const kept = this.#kept.get(message.seq);
    return kept && revisionOf(kept) > revisionOf(message) ? kept : message;
  }

  /** @param {Message} message */
  #keep(message) {
    const kept = this.newest(message);
    this.#kept.delete(message.seq);
    this.#kept.set(message.seq, kept);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value ?? 0);
  }
}

/** @param {Message} message */
const revisionOf = ({ revision = 0 }) => revision;

/** Returns the place of the first message from `seq` on. @param {Message[]} messages @param {number} seq */
function find(messages, seq) {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
