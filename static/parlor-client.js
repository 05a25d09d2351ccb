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
 * @property {Message[]} reset the room's log went back, as after a restore: `messages` are others now, all of them
 * @property {Refusal | null} trouble a connection or a join failed, and is tried again if that is `retryable`; `null`: joined again
 * @property {Room["state"]} state `state` has changed
 * @property {Refusal} closed the server ended it
 *
 * @typedef {object} JoinOptions
 * @property {number} [timeoutMs] how long to try: 20 s when absent, `Infinity` for ever
 * @property {(trouble: Refusal | null) => void} [onTrouble] listens to `trouble` from the first attempt on
 */

import { Outbox, browserStorage } from "./parlor-outbox.js";

/** Longer than the server's own default limit for a send (15 s), so that its answer wins. */
const ACK_TIMEOUT_MS = 20_000;
const RETRY_MS = 1_000;
const JOIN_TIMEOUT_MS = 20_000;
/** A socket that stays closed for so long was closed by the application; a server's refusal is followed by an attempt sooner. */
const CLOSED_MS = 3 * RETRY_MS;
/** From a read that closed a gap to the next one. */
const GAP_PAUSE_MS = 250;
/** The largest page that the server gives. */
const PAGE_LIMIT = 200;
/** @type {ErrorBody} */
const NO_ANSWER = { code: "UNAVAILABLE", message: "no answer from the server", retryable: true };
/** @type {ErrorBody} */
const LEFT = { code: "NOT_IN_ROOM", message: "the room was left", retryable: false };
/** @type {ErrorBody} */
const LEFT_EARLY = {
  code: "UNAVAILABLE",
  message: "the room ended before the server's answer; a message that is kept in a storage is sent after the next join",
  retryable: true,
};
/** @type {ErrorBody} */
const CLOSED_SOCKET = {
  code: "UNAVAILABLE",
  message: "the socket is closed; the message stays in the outbox, and is sent once it is connected again",
  retryable: true,
};

/** How many rooms of the same id are open on a socket. @type {WeakMap<ParlorSocket, Map<string, number>>} */
const open = new WeakMap();

/** A stock socket, for rooms. */
export class Parlor {
  #socket;
  #storage;
  /** Why the last connection failed. @type {Refusal | undefined} */
  #refusal;

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
    socket.on("connect_error", (error) => {
      this.#refusal = refusedConnection(socket, error);
      if (!socket.active && this.#refusal.retryable) reconnect();
    });
  }

  /**
   * Joins a room, and joins it again whenever the connection comes back. Rejects with a {@link Refusal} when the server refuses
   * the room or the connection for good, or has not let one in after `timeoutMs`. Each call makes a room of its own, also of the
   * same id; the server is left with the last one.
   * @param {string} roomId
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  joinRoom(roomId, options = {}) {
    const refusal = this.#refusal;
    const isFinal = refusal && !refusal.retryable && !this.#socket.active;
    if (isFinal) return Promise.reject(refusal);
    return new Promise((resolve, reject) => new Room(this.#socket, this.#storage, roomId, { resolve, reject, ...options }));
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
  /** Counts the logs that this room has seen: answers to what was asked of an earlier one mean nothing. */
  #log = 0;
  #filling = false;
  #sending = false;
  #older = /** @type {Promise<Message[]> | null} */ (null);
  /** Why it is not joined. @type {Refusal | null} */
  #trouble = null;
  /** Why it is closed. @type {Refusal | undefined} */
  #ended;
  #timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

  /**
   * @param {ParlorSocket} socket
   * @param {Storage | null} storage
   * @param {string} roomId
   * @param {{ resolve: (room: Room) => void, reject: (why: Refusal) => void } & JoinOptions} joining
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
      history: (/** @type {Joined} */ joined) => joined.roomId === roomId && joined.reset && this.#reset(joined),
    });
    for (const [event, listener] of this.#listeners) socket.on(/** @type {any} */ (event), listener);
    socket.io.on("close", this.#watchSocket);
    count(socket, roomId, 1);
    const { timeoutMs = JOIN_TIMEOUT_MS, onTrouble } = joining;
    if (onTrouble) this.on("trouble", onTrouble);
    if (timeoutMs < Infinity) this.#timer = setTimeout(() => this.#giveUp(), timeoutMs);
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
   * Sends a message, again and again until the server has stored it, which resolves. Rejects with a {@link Refusal}: with one
   * that is not `retryable` the message is refused. With one that is, the socket was closed or the room ended before the
   * server's answer: the message may be stored, and is sent again once the socket is back or, out of a storage, after the next
   * join.
   * @param {string} message
   * @returns {Promise<Message>}
   */
  send(message) {
    if (this.#ended) return rejected(this.#ended);
    const receipt = this.#outbox.add(message);
    this.#flush();
    this.#watchSocket();
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

  /** Leaves. What is still on its way is sent after the next join, out of a storage. */
  leave() {
    if (this.state !== "closed") this.#leave(refusal(LEFT));
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
  #joined(answer) {
    const { lastSeq, hasMore, messages } = answer;
    if (this.#cursor !== null && lastSeq < this.#cursor) {
      // The log went back. What it holds now, a join without a `lastSeq` says.
      this.#cursor = null;
      return this.#join();
    }
    clearTimeout(this.#timer);
    this.#become("joined");
    if (this.#trouble) this.#tell("trouble", (this.#trouble = null));
    if (this.#cursor === null || answer.reset) {
      this.#reset(answer);
    } else {
      this.#show(answer);
      this.#tell("resume", { after: this.#cursor, until: lastSeq });
      if (hasMore) this.#receive(messages);
      else this.#pass(messages, lastSeq);
    }
    this.#joining.resolve(this);
    this.#flush();
  }

  /** Begins with the messages of an answer, instead of those that were there. @param {Joined} answer */
  #reset(answer) {
    if (this.state !== "joined") return;
    this.#log += 1;
    const isFirst = this.#log === 1;
    this.#show(answer);
    this.messages = [];
    this.#ahead.clear();
    this.#cursor = answer.lastSeq;
    this.hasOlder = answer.hasMore;
    if (isFirst) this.#outbox.open(JSON.stringify([this.userId, this.roomId]));
    for (const message of answer.messages) this.#append(message);
    if (!isFirst) this.#tell("reset", this.messages);
  }

  /** @param {Partial<Joined>} answer a reset, which goes to everyone, names no `userId` */
  #show({ userId = this.userId, members, memberCount }) {
    Object.assign(this, { userId, memberCount, members: new Set(members) });
    this.#tell("members", this.members);
  }

  /**
   * Reads what is missing between the cursor and the newest messages, as after an absence of more than a page. What the log does
   * not hold does not exist: it is passed over.
   */
  #fillGap() {
    if (this.#ahead.size === 0 || this.#filling || this.state !== "joined") return;
    this.#filling = true;
    const [log, newest] = [this.#log, [...this.#ahead.keys()].reduce((a, b) => Math.max(a, b))];
    const goOn = () => {
      this.#filling = false;
      this.#fillGap();
    };
    this.#ask("getHistory", { afterSeq: this.#cursor, limit: PAGE_LIMIT }, (refusal, page) => {
      if (refusal) return this.#again(refusal, goOn);
      const isPart = page.hasMore && page.messages.length > 0;
      if (log === this.#log) this.#pass(page.messages, isPart ? 0 : newest);
      if (isPart) goOn();
      else setTimeout(goOn, GAP_PAUSE_MS);
    });
  }

  /** Takes messages as they come, each when it is the next one. @param {Message[]} messages */
  #receive(messages) {
    if (this.#cursor === null) return;
    for (const message of messages) if (message.seq > this.#cursor) this.#ahead.set(message.seq, message);
    for (let next; (next = this.#ahead.get(this.#cursor + 1)); ) this.#take(next);
    this.#fillGap();
  }

  /**
   * Takes messages of the log between which there are no others, and what is there up to `until`.
   * @param {Message[]} messages
   * @param {number} until
   */
  #pass(messages, until) {
    for (const message of messages) this.#take(message);
    const ahead = [...this.#ahead.values()].sort((a, b) => a.seq - b.seq);
    for (const message of ahead) if (message.seq <= until) this.#take(message);
    this.#cursor = Math.max(this.#cursor ?? 0, until);
    this.#receive([]);
  }

  /** @param {Message} message */
  #take(message) {
    this.#ahead.delete(message.seq);
    if (message.seq <= (this.#cursor ?? 0)) return;
    this.#cursor = message.seq;
    this.#append(message);
    this.#tell("message", message);
  }

  /** @param {Message} message */
  #append(message) {
    this.messages.push(message);
    if (message.userId === this.userId) this.#outbox.confirm(message, true);
  }

  /** @param {number} limit */
  async #readOlder(limit) {
    if (this.#ended) throw this.#ended;
    if (!this.hasOlder || this.messages.length === 0) return [];
    const [log, older] = [this.#log, { beforeSeq: this.messages[0].seq, limit }];
    const { messages, hasMore } = await new Promise((resolve, reject) => {
      this.#ask("getHistory", older, (refusal, page) => (refusal ? reject(refusal) : resolve(page)));
    });
    if (log !== this.#log) return [];
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
      const goOn = () => {
        this.#sending = false;
        this.#flush();
      };
      // What is emitted on a connection that seems dead, the stock client may send on its next one, before the join.
      if (refusal?.retryable || refusal?.code === "NOT_IN_ROOM") return this.#again(refusal, goOn);
      if (refusal) this.#outbox.fail(next, refusal);
      else this.#outbox.confirm(sent.message, sent.message.seq <= (this.#cursor ?? 0));
      goOn();
    });
  }

  /**
   * Does something again later; back in the room, if the server has one out of it.
   * @param {Refusal} refusal
   * @param {() => void} action
   */
  #again(refusal, action) {
    const isOut = refusal.code === "NOT_IN_ROOM" && this.state === "joined";
    later(refusal, () => {
      if (isOut && this.state === "joined") {
        this.#become("joining");
        this.#join();
      }
      action();
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
      let error = late ? NO_ANSWER : answer.error;
      // The server disconnects one then. The next connection shows if there is a newer token: if not, that ends the room.
      if (error?.code === "TOKEN_EXPIRED") error = { ...error, retryable: true };
      answered(error ? refusal(error) : null, answer);
    });
  }

  /** @param {Refusal} refusal */
  #refused(refusal) {
    this.#trouble = refusal;
    this.#tell("trouble", refusal);
    if (refusal.retryable) return;
    this.#close(refusal, refusal);
    this.#tell("closed", refusal);
  }

  #giveUp() {
    this.#leave(this.#trouble ?? refusal(NO_ANSWER));
  }

  /** @param {Refusal} why */
  #leave(why) {
    const isLast = this.#close(why, refusal(LEFT_EARLY));
    if (isLast && this.#socket.connected) this.#ask("leaveRoom", {}, () => {});
  }

  /**
   * Ends it; whether no other room of this id is open on the socket.
   * @param {Refusal} why
   * @param {Refusal} fate of what has no answer yet
   */
  #close(why, fate) {
    clearTimeout(this.#timer);
    this.#ended = why;
    this.#become("closed");
    for (const [event, listener] of this.#listeners) this.#socket.off(/** @type {any} */ (event), listener);
    this.#socket.io.off("close", this.#watchSocket);
    this.#joining.reject(why);
    this.#outbox.settle(fate);
    return count(this.#socket, this.roomId, -1) === 0;
  }

  /** Settles what was sent, if the socket is closed and stays so: nothing else tells that the application closed it. */
  #watchSocket = () => {
    if (this.#socket.active || this.#outbox.next() === undefined) return;
    setTimeout(() => this.#socket.active || this.#outbox.settle(refusal(CLOSED_SOCKET)), CLOSED_MS);
  };

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

/** A promise that is rejected; not to be handled by who does not ask for it. @param {Refusal} why @returns {Promise<never>} */
function rejected(why) {
  const promise = Promise.reject(why);
  promise.catch(() => {});
  return promise;
}

/**
 * Counts the open rooms of an id on a socket; how many there are.
 * @param {ParlorSocket} socket
 * @param {string} roomId
 * @param {1 | -1} change
 */
function count(socket, roomId, change) {
  const rooms = open.get(socket) ?? new Map();
  open.set(socket, rooms);
  const now = (rooms.get(roomId) ?? 0) + change;
  if (now === 0) rooms.delete(roomId);
  else rooms.set(roomId, now);
  return now;
}

/** Reads a `connect_error`: a server's refusal begins with the code. @param {ParlorSocket} socket @param {Error} error */
function refusedConnection(socket, error) {
  if (socket.active) return refusedRequest(error);
  const code = /** @type {ErrorBody["code"]} */ (/^[A-Z_]+(?=: )/.exec(error.message)?.[0] ?? "INTERNAL");
  return refusal({ code, message: error.message, retryable: code === "UNAVAILABLE" || code === "RATE_LIMITED" });
}

/** Reads why a request failed: the body of a refused one says it, where the client shows that. @param {any} error */
function refusedRequest(error) {
  try {
    const body = JSON.parse(error.context.responseText).error;
    if (typeof body.code === "string") return refusal(body);
  } catch {
    // There is no such body: nobody answered, or it was no Parlor.
  }
  return refusal({ code: "UNAVAILABLE", message: `the server cannot be reached: ${error.message}`, retryable: true });
}
