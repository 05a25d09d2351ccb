/**
 * The changes of a room's messages, as a client follows them.
 *
 * @import { Message, MessageChanged, Reactors } from "./parlor.js"
 * @typedef {(message: Message) => Message} Preview A change that the server has not answered yet.
 */

/** The most changes kept of messages that the client does not have. */
const MOST_KEPT = 256;
/** The most users that the server names with a reaction. */
const MOST_NAMED = 20;

export class Changes {
  /** The room's revision up to which nothing is missing. */
  revision = 0;
  /** True while missing changes are being read. */
  reading = false;
  /** The latest changes of messages that were not there: a page read meanwhile may have an earlier state. @type {Map<number, Message>} */
  #kept = new Map();
  /** The messages with previews, as the server has them. @type {Map<number, { stored: Message, previews: Preview[] }>} */
  #drafts = new Map();

  /** Starts with a new log. A server of an earlier version has no revisions. @param {number | undefined} revision */
  start(revision) {
    this.revision = revision ?? 0;
    this.#kept.clear();
    this.#drafts.clear();
  }

  /** Follows a live change. Returns false if changes before it are missing. @param {Pick<MessageChanged, "revision" | "previous">} changed */
  follow({ revision, previous }) {
    if (previous > this.revision) return false;
    this.revision = Math.max(this.revision, revision);
    return true;
  }

  /**
   * Puts a message's state in the place of an earlier one, under the previews. Returns what is shown now, if it changed.
   * @param {Message[]} messages in the order of `seq`
   * @param {Message} message
   */
  put(messages, message) {
    const place = find(messages, message.seq);
    if (messages[place]?.seq !== message.seq) {
      this.#keep(message);
      return undefined;
    }
    const draft = this.#drafts.get(message.seq);
    if (revisionOf(draft?.stored ?? messages[place]) >= revisionOf(message)) return undefined;
    if (draft) draft.stored = message;
    return (messages[place] = draft ? shown(draft) : message);
  }

  /**
   * Shows a change before the server's answer. Returns what is shown now, if the message is there.
   * @param {Message[]} messages
   * @param {number} seq
   * @param {Preview} preview
   */
  preview(messages, seq, preview) {
    const place = find(messages, seq);
    if (messages[place]?.seq !== seq) return undefined;
    const draft = this.#drafts.get(seq) ?? { stored: messages[place], previews: [] };
    draft.previews.push(preview);
    this.#drafts.set(seq, draft);
    return (messages[place] = shown(draft));
  }

  /**
   * Takes a preview back, after the server's answer. Returns what is shown now, if the message is there.
   * @param {Message[]} messages
   * @param {number} seq
   * @param {Preview} preview
   */
  settle(messages, seq, preview) {
    const [place, draft] = [find(messages, seq), this.#drafts.get(seq)];
    if (!draft || messages[place]?.seq !== seq) return undefined;
    draft.previews = draft.previews.filter((other) => other !== preview);
    if (draft.previews.length === 0) this.#drafts.delete(seq);
    return (messages[place] = shown(draft));
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

/** Previews an edit. @param {string} text @returns {Preview} */
export function edited(text) {
  return (message) => ({ ...message, message: text, editedAt: new Date().toISOString() });
}

/** Previews a reaction. @param {string} userId @param {string} reaction @param {boolean} on @returns {Preview} */
export function reacted(userId, reaction, on) {
  return ({ reactions = [], ...message }) => {
    const changed = reactions.map((kind) => (kind.reaction === reaction ? withUser(kind, userId, on) : kind));
    const isNew = on && !reactions.some((kind) => kind.reaction === reaction);
    if (isNew) changed.push({ reaction, count: 1, userIds: [userId] });
    const left = changed.filter(({ count }) => count > 0);
    return left.length > 0 ? { ...message, reactions: left } : message;
  };
}

/** @param {Reactors} kind @param {string} userId @param {boolean} on @returns {Reactors} */
function withUser({ reaction, count, userIds }, userId, on) {
  if (userIds.includes(userId) === on) return { reaction, count, userIds };
  const others = userIds.filter((other) => other !== userId);
  const named = on ? [...others, userId].sort().slice(0, MOST_NAMED) : others;
  return { reaction, count: count + (on ? 1 : -1), userIds: named };
}

/** @param {{ stored: Message, previews: Preview[] }} draft */
const shown = ({ stored, previews }) => previews.reduce((message, preview) => preview(message), stored);

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
