/**
 * Rooms on a stock Socket.IO client (4.4 or newer): history, resumption, sends that survive reloads.
 *
 *     const parlor = new Parlor(io("https://chat.example.com", { auth: { userId: "ann" } }));
 *     const room = await parlor.joinRoom("lobby");
 *     room.messages.forEach(show);
 *     room.on("message", show);
 *     room.send("hello");
 *
 * @import { ClientToServerEvents, ErrorBody, Joined, Message, Presence, ServerToClientEvents } from "./parlor.js"
 * @import { Unconfirmed } from "./parlor-outbox.js"
 * @typedef {import("socket.io-client").Socket<ServerToClientEvents, ClientToServerEvents>} ParlorSocket
 * @typedef {Error & ErrorBody} Refusal Why the server did not do something.
 *
 * @typedef {object} RoomEvents What {@link Room.on} listens to.
 * @property {Message} message the next one of `messages`: each once, in order, without a gap
 * @property {Unconfirmed[]} outbox `outbox` has changed
 * @property {Set<string>} members `members` or `memberCount` have changed
 * @property {{ after: number, until: number }} resume back in the room: messages with a `seq` in between were missed
 * @property {Room["state"]} state `state` has changed
 * @property {Refusal} closed the server ended it
 */

import { Outbox, browserStorage } from "./parlor-outbox.js";

/** Longer than the server's own default limit for a send (15 s), so that its answer wins. */
const ACK_TIMEOUT_MS = 20_000;
const RETRY_MS = 1_000;
/** The largest page that the server gives. */
const PAGE_LIMIT = 200;
/** @type {ErrorBody} */
const NO_ANSWER = { code: "UNAVAILABLE", message: "no answer from the server", retryable: true };
/** @type {ErrorBody} */
const OTHER_LOG = { code: "INTERNAL", message: "the server lost messages of this room; join anew", retryable: false };

/** A stock socket, for rooms. */
export class Parlor {
  #socket;
  #storage;

  /**
   * @param {ParlorSocket} socket
   * @param {Storage | null} [storage] where messages on their way outlive a reload; `null`: nowhere
   */
  constructor(socket, storage = browserStorage()) {
    this.#socket = socket;
    this.#storage = storage;
    // A stock client comes back by itself, but not when it was the server that disconnected or refused it.
    const reconnect = () => setTimeout(() => socket.connect(), RETRY_MS * (1 + Math.random()));
    socket.on("disconnect", (reason) => reason === "io server disconnect" && reconnect());
    socket.on("connect_error", (error) => refusedConnection(socket, error)?.retryable && reconnect());
  }

  /**
   * Joins a room, and joins it again whenever the connection comes back; rejects with a {@link Refusal}.
   * @param {string} roomId
   * @returns {Promise<Room>}
   */
  joinRoom(roomId) {
    return new Promise((resolve, reject) => new Room(this.#socket, this.#storage, roomId, { resolve, reject }));
  }
}

/** A room that one is in. Made by {@link Parlor.joinRoom}. */
export class Room {
  /** @type {"joining" | "joined" | "closed"} */
  state = "joining";
  /** Who one is here, as the server says. */
  userId = "";
  /** The messages from some `seq` on, in order. @type {Message[]} */
  messages = [];
  /** Whether there are messages before those. */
  hasOlder = false;
  /** The members' user ids; not all of them in a large room. @type {Set<string>} */
  members = new Set();
  memberCount = 0;

  #socket;
  #outbox;
  #joining;
  #listeners;
  #events = new EventTarget();
  /** The `seq` up to which no message is missing; `null` before the first join. @type {number | null} */
  #cursor = null;
  /** Messages beyond a gap after the cursor. @type {Map<number, Message>} */
  #ahead = new Map();
  #filling = false;
  #sending = false;
  #older = /** @type {Promise<Message[]> | null} */ (null);

  /**
   * @param {ParlorSocket} socket
   * @param {Storage | null} storage
   * @param {string} roomId
   * @param {{ resolve: (room: Room) => void, reject: (why: Refusal) => void }} joining
   */
  constructor(socket, storage, roomId, joining) {
    this.#socket = socket;
    this.#outbox = new Outbox(storage, (outbox) => this.#tell("outbox", outbox));
    this.roomId = roomId;
    this.#joining = joining;
    this.#listeners = Object.entries({
      connect: () => this.#join(),
      disconnect: () => this.#become("joining"),
      connect_error: (/** @type {Error} */ error) => this.#refused(refusedConnection(socket, error)),
      newMessage: (/** @type {Message} */ message) => message.roomId === roomId && this.#receive([message]),
      presence: (/** @type {Presence} */ presence) => presence.roomId === roomId && this.#changeMembers(presence),
    });
    for (const [event, listener] of this.#listeners) socket.on(/** @type {any} */ (event), listener);
    this.#join();
  }

  /** @template {keyof RoomEvents} Name @param {Name} event @param {(detail: RoomEvents[Name]) => void} listener */
  on(event, listener) {
    this.#events.addEventListener(event, (/** @type {any} */ { detail }) => listener(detail));
  }

  /** What was sent and is not in `messages` yet. */
  get outbox() {
    return this.#outbox.entries;
  }

  /**
   * Sends a message, again and again until the server has stored it, which resolves, or rejects it with a {@link Refusal}.
   * @param {string} message
   */
  send(message) {
    const receipt = this.#outbox.add(message);
    this.#flush();
    return receipt;
  }

  /** Sends a message that failed once more. @param {Unconfirmed} failed */
  retry(failed) {
    this.#outbox.retry(failed);
    this.#flush();
  }

  /** Gives up a message that failed. @param {Unconfirmed} failed */
  discard(failed) {
    this.#outbox.discard(failed);
  }

  /** Puts the next older messages before `messages`, and gives them; rejects with a {@link Refusal}. */
  loadOlder(limit = 50) {
    this.#older ??= this.#readOlder(limit).finally(() => (this.#older = null));
    return this.#older;
  }

  /** Leaves. What is still on its way is sent after the next join. */
  leave() {
    if (this.#socket.connected) this.#ask("leaveRoom", {}, () => {});
    this.#close();
  }

  #join() {
    if (!this.#socket.connected || this.state !== "joining") return;
    const resume = this.#cursor === null ? {} : { lastSeq: this.#cursor, limit: PAGE_LIMIT };
    this.#ask("joinRoom", resume, (refusal, answer) => {
      if (this.state !== "joining") return;
      if (!refusal) return this.#joined(answer);
      this.#refused(refusal);
      later(refusal, () => this.#join());
    });
  }

  /** @param {Joined} answer */
  #joined({ userId, messages, lastSeq, hasMore, members, memberCount }) {
    if (lastSeq < (this.#cursor ?? 0)) return this.#refused(refusal(OTHER_LOG));
    Object.assign(this, { userId, memberCount, members: new Set(members) });
    this.#become("joined");
    if (this.#cursor === null) {
      this.#cursor = messages.length > 0 ? messages[0].seq - 1 : lastSeq;
      this.hasOlder = hasMore;
      this.#outbox.open(JSON.stringify([userId, this.roomId]));
    } else {
      this.#tell("resume", { after: this.#cursor, until: lastSeq });
    }
    this.#tell("members", this.members);
    this.#receive(messages);
    this.#joining.resolve(this);
    this.#flush();
  }

  /** Reads what is missing between the cursor and the newest messages, as after an absence of more than a page. */
  #fillGap() {
    if (this.#ahead.size === 0 || this.#filling || this.state !== "joined") return;
    this.#filling = true;
    this.#ask("getHistory", { afterSeq: this.#cursor, limit: PAGE_LIMIT }, (refusal, page) => {
      this.#filling = false;
      if (refusal) return later(refusal, () => this.#fillGap());
      this.#receive(page.messages);
    });
  }

  /** @param {Message[]} messages */
  #receive(messages) {
    if (this.#cursor === null) return;
    for (const message of messages) if (message.seq > this.#cursor) this.#ahead.set(message.seq, message);
    for (let next; (next = this.#ahead.get(this.#cursor + 1)); ) {
      this.#ahead.delete((this.#cursor = next.seq));
      this.messages.push(next);
      if (next.userId === this.userId) this.#outbox.confirm(next, true);
      this.#tell("message", next);
    }
    this.#fillGap();
  }

  /** @param {number} limit */
  async #readOlder(limit) {
    if (!this.hasOlder) return [];
    const older = { beforeSeq: this.messages[0].seq, limit };
    const { messages, hasMore } = await new Promise((resolve, reject) => {
      this.#ask("getHistory", older, (refusal, page) => (refusal ? reject(refusal) : resolve(page)));
    });
    this.messages.unshift(...messages);
    this.hasOlder = hasMore;
    return messages;
  }

  /** Sends the oldest message that is on its way. One at a time, so that a retry keeps the order. */
  #flush() {
    const next = this.#outbox.next();
    if (!next || this.#sending || this.state !== "joined") return;
    this.#sending = true;
    const { clientMessageId, message } = next;
    this.#ask("sendMessage", { message, clientMessageId }, (refusal, sent) => {
      this.#sending = false;
      // What is emitted on a connection that seems dead, the stock client may send on its next one, before the join.
      if (refusal?.retryable || refusal?.code === "NOT_IN_ROOM") return later(refusal, () => this.#flush());
      if (refusal) this.#outbox.fail(next, refusal);
      else this.#outbox.confirm(sent.message, sent.message.seq <= (this.#cursor ?? 0));
      this.#flush();
    });
  }

  /** @param {Presence} presence */
  #changeMembers({ joined, left, memberCount }) {
    for (const userId of joined) this.members.add(userId);
    for (const userId of left) this.members.delete(userId);
    this.memberCount = memberCount;
    this.#tell("members", this.members);
  }

  /**
   * Emits, and hands on the ack: by a callback, as a promise would run after the events that follow the ack on the wire.
   * @param {Exclude<keyof ClientToServerEvents, "typing">} event
   * @param {object} payload
   * @param {(refusal: Refusal | null, answer: any) => void} answered
   */
  #ask(event, payload, answered) {
    const socket = /** @type {any} */ (this.#socket.timeout(ACK_TIMEOUT_MS));
    socket.emit(event, { roomId: this.roomId, ...payload }, (/** @type {unknown} */ late, /** @type {any} */ answer) => {
      const error = late ? NO_ANSWER : answer.error;
      answered(error ? refusal(error) : null, answer);
    });
  }

  /** @param {Refusal | null} refusal */
  #refused(refusal) {
    if (!refusal || refusal.retryable) return;
    this.#close();
    this.#joining.reject(refusal);
    this.#tell("closed", refusal);
  }

  #close() {
    this.#become("closed");
    for (const [event, listener] of this.#listeners) this.#socket.off(/** @type {any} */ (event), listener);
  }

  /** @param {Room["state"]} state */
  #become(state) {
    this.state = state;
    this.#tell("state", state);
  }

  /** @param {keyof RoomEvents} event @param {unknown} detail */
  #tell(event, detail) {
    this.#events.dispatchEvent(Object.assign(new Event(event), { detail }));
  }
}

/** @param {ErrorBody} refusal @param {() => void} action */
function later({ retryAfterMs = RETRY_MS }, action) {
  setTimeout(action, retryAfterMs);
}

/** @param {ErrorBody} error @returns {Refusal} */
function refusal(error) {
  return Object.assign(new Error(error.message), error);
}

/** Reads a `connect_error`: a server's refusal begins with the code. @param {ParlorSocket} socket @param {Error} error */
function refusedConnection(socket, { message }) {
  if (socket.active) return null;
  const code = /** @type {ErrorBody["code"]} */ (/^[A-Z_]+(?=: )/.exec(message)?.[0] ?? "INTERNAL");
  return refusal({ code, message, retryable: code === "UNAVAILABLE" || code === "RATE_LIMITED" });
}
