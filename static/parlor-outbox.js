/**
 * Unconfirmed messages, in the order sent; kept in the browser's storage, so that they survive a reload.
 *
 * @import { Message } from "./parlor.js"
 * @import { Refusal } from "./parlor-client.js"
 *
 * @typedef {object} Unconfirmed A message not yet stored, or stored and not yet back in its room.
 * @property {string} clientMessageId a UUID; the server stores repeated sends once
 * @property {string} message
 * @property {number} [replyTo] the `seq` of the message that it answers
 * @property {Record<string, unknown>} [metadata] the application's own data
 * @property {number} sentAt milliseconds since 1970
 * @property {"sending" | "sent" | "failed"} status
 * @property {Refusal} [refusal] the reason of a failure
 * @typedef {Pick<Unconfirmed, "replyTo" | "metadata">} Extras A message's fields besides its text.
 */

/** A list of {@link Unconfirmed}. */
export class Outbox {
  /** @type {Unconfirmed[]} */
  entries = [];

  #storage;
  #changed;
  #prefix = "";
  #lastSentAt = 0;
  /** @type {Map<string, { resolve: (stored: Message) => void, reject: (why: Refusal) => void }>} */
  #receipts = new Map();

  /**
   * @param {Storage | null} storage
   * @param {(entries: Unconfirmed[]) => void} changed called after each change
   */
  constructor(storage, changed) {
    this.#storage = storage;
    this.#changed = changed;
  }

  /**
   * Takes over the messages of an earlier page. Each message has its own key, so that two tabs do not overwrite each other; if
   * both send it, the server stores it once.
   * @param {string} owner the user and the room
   */
  open(owner) {
    this.#prefix = `parlor:${owner}:`;
    const storage = this.#storage;
    if (!storage) return;
    const keys = Array.from({ length: storage.length }, (_, place) => storage.key(place) ?? "");
    const texts = keys.filter((key) => key.startsWith(this.#prefix)).map((key) => storage.getItem(key));
    // Another tab may have removed a message meanwhile.
    const left = texts.flatMap((text) => (text === null ? [] : JSON.parse(text)));
    this.entries = left.sort((a, b) => a.sentAt - b.sentAt).map((entry) => ({ ...entry, status: "sending" }));
    this.#changed(this.entries);
  }

  /**
   * @param {string} message
   * @param {Extras} [extras]
   * @returns {Promise<Message>} the stored message, or a rejection
   */
  add(message, extras = {}) {
    // Unique, because the order after a reload depends on it.
    this.#lastSentAt = Math.max(this.#lastSentAt + 1, Date.now());
    const entry = { clientMessageId: newId(), message, ...extras, sentAt: this.#lastSentAt };
    this.#save(entry);
    const stored = new Promise((resolve, reject) => this.#receipts.set(entry.clientMessageId, { resolve, reject }));
    // Callers may ignore the rejection.
    stored.catch(() => {});
    this.entries.push({ ...entry, status: "sending" });
    this.#changed(this.entries);
    return stored;
  }

  /** The oldest message not yet sent. */
  next() {
    return this.entries.find(({ status }) => status === "sending");
  }

  /** Marks a failed message to be sent again. @param {Unconfirmed} entry */
  retry(entry) {
    Object.assign(entry, { status: "sending", refusal: undefined });
    this.#changed(this.entries);
  }

  /** @param {Unconfirmed} entry @param {Refusal} refusal */
  fail(entry, refusal) {
    Object.assign(entry, { status: "failed", refusal });
    this.#receipts.get(entry.clientMessageId)?.reject(refusal);
    this.#receipts.delete(entry.clientMessageId);
    this.#changed(this.entries);
  }

  /** Rejects the promises of unanswered messages; the entries stay. @param {Refusal} refusal */
  settle(refusal) {
    for (const { reject } of this.#receipts.values()) reject(refusal);
    this.#receipts.clear();
  }

  /**
   * Marks a message as stored; it leaves the list once it is `shown` in its room.
   * @param {Message} message
   * @param {boolean} shown
   */
  confirm(message, shown) {
    const entry = this.entries.find(({ clientMessageId }) => clientMessageId === message.clientMessageId);
    if (!entry) return;
    entry.status = "sent";
    this.#receipts.get(entry.clientMessageId)?.resolve(message);
    this.#receipts.delete(entry.clientMessageId);
    this.#storage?.removeItem(this.#prefix + entry.clientMessageId);
    if (shown) this.entries = this.entries.filter((other) => other !== entry);
    this.#changed(this.entries);
  }

  /** Removes a message. @param {Unconfirmed} entry */
  discard(entry) {
    this.#storage?.removeItem(this.#prefix + entry.clientMessageId);
    this.entries = this.entries.filter((other) => other !== entry);
    this.#changed(this.entries);
  }

  /** @param {Omit<Unconfirmed, "status" | "refusal">} entry */
  #save(entry) {
    try {
      this.#storage?.setItem(this.#prefix + entry.clientMessageId, JSON.stringify(entry));
    } catch {
      // The storage is full: the message lives as long as the page.
    }
  }
}

/** Returns `localStorage`, if the environment has it and permits it. */
export function browserStorage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** Makes a random UUID. `randomUUID` is missing on plain HTTP, as for a page on a local network. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
