/**
 * Messages on their way to the server, in the order sent; kept by the browser, so that they outlive a reload.
 *
 * @import { Message } from "./parlor.js"
 * @import { Refusal } from "./parlor-client.js"
 *
 * @typedef {object} Unconfirmed A message that the server has not stored, or that has not come back to its room yet.
 * @property {string} clientMessageId a UUID; the server stores a message once, however often it is sent
 * @property {string} message
 * @property {number} sentAt milliseconds since 1970
 * @property {"sending" | "sent" | "failed"} status
 * @property {Refusal} [refusal] why it failed
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
   * Takes up what an earlier page left. Each message has a key of its own, so that two tabs do not undo each other's work;
   * both may then send it, which the server's answer settles.
   * @param {string} owner the user and the room
   */
  open(owner) {
    this.#prefix = `parlor:${owner}:`;
    const storage = this.#storage;
    if (!storage) return;
    const keys = Array.from({ length: storage.length }, (_, place) => storage.key(place) ?? "");
    const texts = keys.filter((key) => key.startsWith(this.#prefix)).map((key) => storage.getItem(key));
    // Another tab may have removed one meanwhile.
    const left = texts.flatMap((text) => (text === null ? [] : JSON.parse(text)));
    this.entries = left.sort((a, b) => a.sentAt - b.sentAt).map((entry) => ({ ...entry, status: "sending" }));
    this.#changed(this.entries);
  }

  /**
   * @param {string} message
   * @returns {Promise<Message>} its fate
   */
  add(message) {
    // Unique, as the order of what is read back depends on it.
    this.#lastSentAt = Math.max(this.#lastSentAt + 1, Date.now());
    const entry = { clientMessageId: newId(), message, sentAt: this.#lastSentAt };
    this.#save(entry);
    const fate = new Promise((resolve, reject) => this.#receipts.set(entry.clientMessageId, { resolve, reject }));
    // Who does not ask for it need not handle its rejection.
    fate.catch(() => {});
    this.entries.push({ ...entry, status: "sending" });
    this.#changed(this.entries);
    return fate;
  }

  /** The oldest that is on its way. */
  next() {
    return this.entries.find(({ status }) => status === "sending");
  }

  /** Sends one that failed once more. @param {Unconfirmed} entry */
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

  /** Rejects what has no answer yet; the entries stay. @param {Refusal} refusal */
  settle(refusal) {
    for (const { reject } of this.#receipts.values()) reject(refusal);
    this.#receipts.clear();
  }

  /**
   * The server has stored a message; it leaves the list once it is `shown` in its room.
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

  /** Gives one up. @param {Unconfirmed} entry */
  discard(entry) {
    this.#storage?.removeItem(this.#prefix + entry.clientMessageId);
    this.entries = this.entries.filter((other) => other !== entry);
    this.#changed(this.entries);
  }

  /** @param {Pick<Unconfirmed, "clientMessageId" | "message" | "sentAt">} entry */
  #save(entry) {
    try {
      this.#storage?.setItem(this.#prefix + entry.clientMessageId, JSON.stringify(entry));
    } catch {
      // The storage is full: the message lives as long as the page.
    }
  }
}

/** `localStorage`, which there is in browsers, unless their settings forbid it. */
export function browserStorage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** A random UUID. `randomUUID` is missing on plain HTTP, which a page on a local network has. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
