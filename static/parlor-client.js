/**
 * Rooms on a stock Socket.IO client (4.4 or newer), with history, resumption, and sends that survive reloads.
 *
 *     const parlor = new Parlor(io("https://chat.example.com", { auth: { userId: "ann" } }));
 *     const room = await parlor.joinRoom("lobby");
 *     room.messages.forEach(show);
 *     room.on("message", show);
 *     room.send("hello");
 *
 * @import { ChangesPage, ClientToServerEvents, ErrorBody, Joined, Message, MessageChanged, Presence, Reads as ReadsOf } from "./parlor.js"
 * @import { CreateRoom, FoundMessages, Member, Removed, Role, RoomChanged, RoomInfo, RoomSettings, ServerToClientEvents, SetRoom } from "./parlor.js"
 * @import { SendSignal, Signal } from "./parlor.js"
 * @import { Preview } from "./parlor-changes.js"
 * @import { Extras } from "./parlor-outbox.js"
 * @import { Unconfirmed } from "./parlor-outbox.js"
 * @typedef {import("socket.io-client").Socket<ServerToClientEvents, ClientToServerEvents>} ParlorSocket
 * @typedef {Error & ErrorBody} Refusal The server's reason for a refusal.
 *
 * @typedef {object} RoomEvents The events of {@link Room.on}, with their details.
 * @property {Message} message the next one of `messages`: each once, in order, without a gap
 * @property {Message} change one of `messages` has changed, and is replaced by this state
 * @property {Unconfirmed[]} outbox `outbox` has changed
 * @property {Set<string>} members `members` or `memberCount` have changed
 * @property {Map<string, number>} read `reads` or `readSeq` have changed
 * @property {Signal} signal an event of another client's own
 * @property {RoomInfo | null} info `info` or `role` have changed
 * @property {{ after: number, until: number }} resume back in the room: the messages with a `seq` in between were missed
 * @property {Message[]} reset the room's log went back, as after a restore: all `messages` are replaced
 * @property {Refusal | null} trouble a connection or a join failed, and is retried if `retryable`; `null`: joined again
 * @property {Room["state"]} state `state` has changed
 * @property {Refusal} closed the server ended the room
 *
 * @typedef {object} JoinOptions
 * @property {number} [timeoutMs] time limit: 20 s when absent, `Infinity` for none
 * @property {(trouble: Refusal | null) => void} [onTrouble] listens to `trouble` from the first attempt on
 */

import { Changes, edited, reacted } from "./parlor-changes.js";
import { Outbox, browserStorage } from "./parlor-outbox.js";
import { Reads } from "./parlor-reads.js";
import { NO_ANSWER, RETRY_MS, ask, later, refusal, request } from "./parlor-request.js";
import { RoomList } from "./parlor-rooms.js";
import { Settings, infoOf, readMembers, removal } from "./parlor-settings.js";

const JOIN_TIMEOUT_MS = 20_000;
/** A socket closed for this long was closed by the application; after a server's refusal, a new attempt comes sooner. */
const CLOSED_MS = 3 * RETRY_MS;
/** The pause between two reads that close gaps. */
const GAP_PAUSE_MS = 250;
/** The server's largest page. */
const PAGE_LIMIT = 200;
/** The most members of a room in which receipts are told. */
const MOST_TOLD = 100;
/** @type {ErrorBody} */
const LEFT = { code: "NOT_IN_ROOM", message: "the room was left", retryable: false };
/** @type {ErrorBody} */
const NOT_JOINED = { code: "NOT_IN_ROOM", message: "the room is not joined at the moment", retryable: true };
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

/** The number of open rooms per id, by socket. @type {WeakMap<ParlorSocket, Map<string, number>>} */
const openRooms = new WeakMap();

/** Makes rooms on a stock socket. */
export class Parlor {
  #socket;
  #storage;
  /** The reason of the last failed connection. @type {Refusal | undefined} */
  #refusal;
  /** @type {RoomList | undefined} */
  #rooms;

  /**
   * @param {ParlorSocket} socket
   * @param {Storage | null} [storage] keeps unsent messages across reloads; `null`: nothing does
   */
  constructor(socket, storage = browserStorage()) {
    this.#socket = socket;
    this.#storage = storage;
    // A stock client reconnects by itself, except after the server disconnected or refused it.
    const reconnect = () => setTimeout(() => socket.connect(), RETRY_MS * (1 + Math.random()));
    socket.on("disconnect", (reason) => reason === "io server disconnect" && reconnect());
    socket.on("connect_error", (error) => {
      this.#refusal = refusedConnection(socket, error);
      if (!socket.active && this.#refusal.retryable) reconnect();
    });
  }

  /**
   * Joins a room, and rejoins it after every reconnect. Rejects with a {@link Refusal} when the server refuses the room or the
   * connection for good, or when `timeoutMs` is over. Each call makes a separate room, even for the same id; the client leaves
   * the room on the server with the last of them.
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

  /**
   * Finds messages by their words, in one room or in all that the user follows, the newest first. Rejects with a {@link Refusal}.
   * @param {string} query
   * @param {{ roomId?: string, beforeSeq?: number, limit?: number }} [where]
   * @returns {Promise<FoundMessages>}
   */
  search(query, where = {}) {
    return ask(this.#socket, "searchMessages", { query, ...where });
  }

  /**
   * Creates a room of which the user becomes the owner, without joining it. Rejects with a {@link Refusal}; that of a room that
   * exists has the code `CONFLICT`, and the room's settings as `current`.
   * @param {string} roomId
   * @param {Omit<CreateRoom, "roomId">} [settings]
   * @returns {Promise<RoomInfo>}
   */
  async createRoom(roomId, settings = {}) {
    return infoOf((await ask(this.#socket, "createRoom", { roomId, ...settings })).room);
  }

  /** Returns the live list of the user's rooms. The socket needs a `userId` or a token in its `auth`. */
  rooms() {
    this.#rooms ??= new RoomList(this.#socket);
    return this.#rooms;
  }
}

/** A joined room. Made by {@link Parlor.joinRoom}. */
export class Room {
  /** @type {"joining" | "joined" | "closed"} */
  state = "joining";
  /** The user's id, according to the server. */
  userId = "";
  /** The messages from some `seq` on, in order and without gaps. @type {Message[]} */
  messages = [];
  /** True if there are older messages than these. */
  hasOlder = false;
  /** The members' user ids; only some of them in a large room. @type {Set<string>} */
  members = new Set();
  memberCount = 0;

  #socket;
  #outbox;
  #joining;
  #listeners;
  #events = new EventTarget();
  /** The `seq` up to which nothing is missing; `null` before the first join. @type {number | null} */
  #cursor = null;
  /** Messages beyond a gap after the cursor. @type {Map<number, Message>} */
  #ahead = new Map();
  #changes = new Changes();
  /** The last change of each message that is not answered yet: changes of a message go one after another. @type {Map<number, Promise<unknown>>} */
  #changing = new Map();
  #reads = new Reads();
  #settings = new Settings();
  /** True if the application listens to `read`. */
  #showsReads = false;
  /** The number of logs seen by this room: answers about an earlier log are void. */
  #log = 0;
  #filling = false;
  #sending = false;
  #older = /** @type {Promise<Message[]> | null} */ (null);
  /** The reason for not being joined. @type {Refusal | null} */
  #trouble = null;
  /** The reason for being closed. @type {Refusal | undefined} */
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
    this.#outbox = new Outbox(storage, (outbox) => this.#emit("outbox", outbox));
    this.roomId = roomId;
    this.#joining = joining;
    this.#listeners = Object.entries({
      connect: () => this.#join(),
      disconnect: () => this.#setState("joining"),
      connect_error: (/** @type {Error} */ error) => this.#handleRefusal(refusedConnection(socket, error)),
      newMessage: (/** @type {Message} */ message) => message.roomId === roomId && this.#receive([message]),
      messageChanged: (/** @type {MessageChanged} */ changed) => changed.roomId === roomId && this.#follow(changed),
      roomChanged: (/** @type {RoomChanged} */ changed) => changed.roomId === roomId && this.#follow(changed),
      removed: (/** @type {Removed} */ removed) => removed.roomId === roomId && this.#handleRefusal(removal(removed)),
      read: (/** @type {ReadsOf} */ read) => read.roomId === roomId && this.#takeReads(read.reads),
      signal: (/** @type {Signal} */ signal) => signal.roomId === roomId && this.#emit("signal", signal),
      presence: (/** @type {Presence} */ presence) => presence.roomId === roomId && this.#changeMembers(presence),
      history: (/** @type {Joined} */ joined) => joined.roomId === roomId && joined.reset && this.#reset(joined),
    });
    for (const [event, listener] of this.#listeners) socket.on(/** @type {any} */ (event), listener);
    socket.io.on("close", this.#watchSocket);
    changeCount(socket, roomId, 1);
    const { timeoutMs = JOIN_TIMEOUT_MS, onTrouble } = joining;
    if (onTrouble) this.on("trouble", onTrouble);
    if (timeoutMs < Infinity) this.#timer = setTimeout(() => this.#giveUp(), timeoutMs);
    this.#join();
  }

  /** @template {keyof RoomEvents} Name @param {Name} event @param {(detail: RoomEvents[Name]) => void} listener */
  on(event, listener) {
    this.#events.addEventListener(event, (/** @type {any} */ { detail }) => listener(detail));
    if (event !== "read" || this.#showsReads) return;
    this.#showsReads = true;
    this.#readReads();
  }

  /** Messages sent but not yet in `messages`. */
  get outbox() {
    return this.#outbox.entries;
  }

  /** The title, metadata and access; `null` for a room that nobody created. */
  get info() {
    return this.#settings.info;
  }

  /** The user's own role at the last join; `null` for none. */
  get role() {
    return this.#settings.role;
  }

  /** The newest `seq` read by the user, on this device or another one. */
  get readSeq() {
    return this.#reads.own;
  }

  /**
   * The newest `seq` read or written by each user, as far as is known: complete for a listener of `read`, except in a room of more
   * than 100 members.
   */
  get reads() {
    return this.#reads.all;
  }

  /**
   * Sends a message, with retries, and resolves when the server has stored it. Rejects with a {@link Refusal}. If that is not
   * `retryable`, the server refused the message. If it is, the socket was closed or the room ended before the server's answer:
   * the message may be stored, and is sent again once the socket is back or, from the storage, after the next join.
   * @param {string} message
   * @param {Extras} [extras] the message that it answers, and the application's own data
   * @returns {Promise<Message>}
   */
  send(message, extras) {
    if (this.#ended) return rejected(this.#ended);
    const receipt = this.#outbox.add(message, extras);
    this.#flush();
    this.#watchSocket();
    return receipt;
  }

  /**
   * Replaces the text of a message of the user's own. Resolves with the stored message, and rejects with a {@link Refusal}. So do
   * the other changes. Each is repeated until the server has answered. An edit and a reaction show at once in `messages`, and go
   * again if they are refused.
   * @param {number} seq
   * @param {string} message
   * @returns {Promise<Message>}
   */
  edit(seq, message) {
    return this.#change("editMessage", { seq, message }, edited(message));
  }

  /** Deletes a message for everybody and for ever. @param {number} seq @returns {Promise<Message>} */
  delete(seq) {
    return this.#change("deleteMessage", { seq });
  }

  /** Sets the user's reaction to a message, or takes it back. @param {number} seq @param {string} reaction @param {boolean} on */
  react(seq, reaction, on) {
    return this.#change("setReaction", { seq, reaction, on }, reacted(this.userId, reaction, on));
  }

  /** Pins a message to the room, or unpins it. @param {number} seq @param {boolean} on */
  pin(seq, on) {
    return this.#change("setPinned", { seq, on });
  }

  /**
   * Changes the room's settings. Absent ones stay as they are; an empty title and empty `metadata` go. Resolves with the stored
   * settings, and `info` has them with the next event `info`. Rejects with a {@link Refusal}, as the changes of members do. Each
   * change is repeated until the server has answered.
   * @param {Omit<SetRoom, "roomId">} settings
   * @returns {Promise<RoomInfo>}
   */
  async set(settings) {
    return infoOf((await this.ask("setRoom", settings)).room);
  }

  /**
   * Makes somebody a member, or gives a member another role. Resolves with false if that was so already.
   * @param {string} userId
   * @param {Role} [role]
   * @returns {Promise<boolean>}
   */
  async addMember(userId, role) {
    return (await this.ask("addMember", { userId, role })).changed;
  }

  /**
   * Puts somebody out of the room, until somebody adds the user again. Resolves with false if that was so already.
   * @param {string} userId
   * @returns {Promise<boolean>}
   */
  async removeMember(userId) {
    return (await this.ask("removeMember", { userId })).changed;
  }

  /** Reads the users with a role, whether they are in the room now or not: at most 1,000. @returns {Promise<Member[]>} */
  getMembers() {
    return readMembers((cursor) => this.ask("getMembers", { cursor }));
  }

  /** Marks the messages up to one as read, by default all: a mark never goes back. @param {number} [seq] */
  markRead(seq = this.#cursor ?? 0) {
    if (this.#reads.mark(seq)) this.#sendMark();
  }

  /**
   * Sends a signal to the other clients in the room, or to some of them. Rejects with a {@link Refusal}: it is not kept, and not sent
   * again.
   * @param {string} type
   * @param {Record<string, unknown>} data
   * @param {SendSignal["to"]} [to]
   * @returns {Promise<void>}
   */
  signal(type, data, to) {
    if (this.state !== "joined") return rejected(this.#ended ?? refusal(NOT_JOINED));
    return new Promise((resolve, reject) => {
      this.#request("signal", { type, data, to }, (refusal) => (refusal ? reject(refusal) : resolve()));
    });
  }

  /**
   * Emits an event of the room until the server has answered. Resolves with the answer, and rejects with a {@link Refusal}.
   * @param {Exclude<keyof ClientToServerEvents, "typing">} event
   * @param {object} payload
   * @returns {Promise<any>}
   */
  ask(event, payload) {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        if (this.#ended) return reject(this.#ended);
        this.#request(event, payload, (refusal, answer) => {
          if (refusal?.retryable || refusal?.code === "NOT_IN_ROOM") return this.#retryLater(refusal, attempt);
          if (refusal) reject(refusal);
          else resolve(answer);
        });
      };
      attempt();
    });
  }

  /** Sends a failed message once more. @param {Unconfirmed} failed */
  retry(failed) {
    this.#outbox.retry(failed);
    this.#flush();
  }

  /** Gives up a failed message. @param {Unconfirmed} failed */
  discard(failed) {
    this.#outbox.discard(failed);
  }

  /** Puts the next older messages before `messages`, and returns them; rejects with a {@link Refusal}. */
  loadOlder(limit = 50) {
    this.#older ??= this.#readOlder(limit).finally(() => (this.#older = null));
    return this.#older;
  }

  /** Leaves the room. Unsent messages are sent after the next join, from the storage. */
  leave() {
    if (this.state !== "closed") this.#leave(refusal(LEFT));
  }

  #join() {
    if (!this.#socket.connected || this.state !== "joining") return;
    const resume = this.#cursor === null ? {} : { lastSeq: this.#cursor, lastRevision: this.#changes.revision, limit: PAGE_LIMIT };
    this.#request("joinRoom", resume, (refusal, answer) => {
      if (this.state !== "joining") return;
      if (!refusal) return this.#joined(answer);
      this.#handleRefusal(refusal);
      later(refusal, () => this.#join());
    });
  }

  /** @param {Joined} answer */
  #joined(answer) {
    const { lastSeq, hasMore, messages } = answer;
    if (this.#cursor !== null && lastSeq < this.#cursor) {
      // The log went back. A join without `lastSeq` tells its content.
      this.#cursor = null;
      return this.#join();
    }
    clearTimeout(this.#timer);
    this.#setState("joined");
    if (this.#trouble) {
      this.#trouble = null;
      this.#emit("trouble", null);
    }
    if (this.#cursor === null || answer.reset) {
      this.#reset(answer);
    } else {
      this.#setMembers(answer);
      // The answer lists no changes of messages after the cursor: they are read again, in their present state.
      this.#ahead.clear();
      this.#emit("resume", { after: this.#cursor, until: lastSeq });
      if (hasMore) this.#receive(messages);
      else this.#takeUpTo(messages, lastSeq);
      this.#takeChanges(/** @type {Joined & ChangesPage} */ (answer));
    }
    this.#takeReads([{ userId: this.userId, seq: answer.readSeq ?? 0 }]);
    this.#joining.resolve(this);
    this.#flush();
    this.#sendMark();
    this.#readReads();
  }

  /** Replaces the messages by those of an answer. @param {Joined} answer */
  #reset(answer) {
    if (this.state !== "joined") return;
    this.#log += 1;
    const isFirst = this.#log === 1;
    this.#setMembers(answer);
    this.messages = [];
    this.#ahead.clear();
    this.#cursor = answer.lastSeq;
    this.#changes.start(answer.lastRevision);
    this.#reads.start();
    this.hasOlder = answer.hasMore;
    if (isFirst) this.#outbox.open(JSON.stringify([this.userId, this.roomId]));
    for (const message of answer.messages) this.#append(message);
    if (!isFirst) this.#emit("reset", this.messages);
  }

  /** @param {Partial<Joined>} answer without `userId` in a reset, which goes to everyone */
  #setMembers(answer) {
    const { userId = this.userId, members, memberCount } = answer;
    Object.assign(this, { userId, memberCount, members: new Set(members) });
    this.#emit("members", this.members);
    if (this.#settings.start(answer)) this.#emit("info", this.info);
  }

  /**
   * Reads the messages missing between the cursor and the newest ones, as after an absence of more than a page. A `seq` absent
   * from the log does not exist, and is skipped.
   */
  #fillGap() {
    if (this.#ahead.size === 0 || this.#filling || this.state !== "joined") return;
    this.#filling = true;
    const [log, newest] = [this.#log, [...this.#ahead.keys()].reduce((a, b) => Math.max(a, b))];
    const proceed = () => {
      this.#filling = false;
      this.#fillGap();
    };
    this.#request("getHistory", { afterSeq: this.#cursor, limit: PAGE_LIMIT }, (refusal, page) => {
      if (refusal) return this.#retryLater(refusal, proceed);
      const isPart = page.hasMore && page.messages.length > 0;
      if (log === this.#log) this.#takeUpTo(page.messages, isPart ? 0 : newest);
      if (isPart) proceed();
      else setTimeout(proceed, GAP_PAUSE_MS);
    });
  }

  /** Takes live messages, each when it is the next one. @param {Message[]} messages */
  #receive(messages) {
    if (this.#cursor === null) return;
    for (const message of messages) if (message.seq > this.#cursor) this.#ahead.set(message.seq, message);
    for (let next; (next = this.#ahead.get(this.#cursor + 1)); ) this.#take(next);
    this.#fillGap();
  }

  /**
   * Takes consecutive messages of the log, then held messages up to `until`; missing ones in between do not exist.
   * @param {Message[]} messages
   * @param {number} until
   */
  #takeUpTo(messages, until) {
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
    this.#emit("message", this.messages.at(-1));
  }

  /** Takes a live change, and asks for those before it if some are missing. @param {MessageChanged | RoomChanged} changed */
  #follow(changed) {
    if (this.#cursor === null) return;
    if ("message" in changed) this.#put(changed.message);
    else this.#takeInfo(changed.room);
    if (!this.#changes.follow(changed)) this.#readChanges();
  }

  /** Puts a message's later state in its place. @param {Message} message */
  #put(message) {
    this.#show(this.#changes.put(this.messages, message));
  }

  /** @param {RoomSettings} room */
  #takeInfo(room) {
    if (this.#settings.take(room)) this.#emit("info", this.info);
  }

  /** Tells of a message's new state. @param {Message | undefined} shown */
  #show(shown) {
    if (shown) this.#emit("change", shown);
  }

  /** Takes a list of changes, and asks for the rest of them. @param {ChangesPage} answer */
  #takeChanges({ changes, lastRevision, moreChanges, changesReset, room }) {
    if (changesReset) {
      // Too many were missed: the newest page tells the present state.
      this.#cursor = null;
      this.#setState("joining");
      return this.#join();
    }
    for (const message of changes ?? []) this.#put(message);
    if (room) this.#takeInfo(room);
    this.#changes.revision = lastRevision ?? this.#changes.revision;
    if (moreChanges) this.#readChanges();
  }

  #readChanges() {
    if (this.#changes.reading || this.state !== "joined") return;
    this.#changes.reading = true;
    const log = this.#log;
    this.#request("getChanges", { afterRevision: this.#changes.revision }, (refusal, page) => {
      this.#changes.reading = false;
      if (log !== this.#log || this.state === "closed") return;
      if (refusal) this.#retryLater(refusal, () => this.#readChanges());
      else this.#takeChanges(page);
    });
  }

  /**
   * Makes a change after the others of the same message, and shows it meanwhile.
   * @param {"editMessage" | "deleteMessage" | "setReaction" | "setPinned"} event
   * @param {{ seq: number } & Record<string, unknown>} payload
   * @param {Preview} [preview]
   * @returns {Promise<Message>}
   */
  async #change(event, payload, preview = (message) => message) {
    const { seq } = payload;
    this.#show(this.#changes.preview(this.messages, seq, preview));
    const earlier = this.#changing.get(seq);
    const change = earlier ? earlier.then(() => this.ask(event, payload)) : this.ask(event, payload);
    const done = change.catch(() => {});
    this.#changing.set(seq, done);
    try {
      const { message } = await change;
      this.#put(message);
      return message;
    } finally {
      this.#show(this.#changes.settle(this.messages, seq, preview));
      if (this.#changing.get(seq) === done) this.#changing.delete(seq);
    }
  }

  /** @param {ReadsOf["reads"]} reads */
  #takeReads(reads) {
    if (this.#reads.take(reads, this.userId)) this.#emit("read", this.reads);
  }

  /** Asks how far the members have read, if somebody wants to know. */
  #readReads() {
    if (!this.#showsReads || this.state !== "joined" || this.memberCount > MOST_TOLD) return;
    this.#request("getReads", {}, (refusal, page) => {
      if (!refusal && this.state === "joined") this.#takeReads(page.reads);
    });
  }

  /** Sends the latest mark. One at a time: marks that come meanwhile become one. */
  #sendMark() {
    const seq = this.state === "joined" ? this.#reads.next() : undefined;
    if (seq === undefined) return;
    this.#request("markRead", { seq }, (refusal, answer) => {
      this.#reads.ended(refusal !== null && !refusal.retryable);
      if (refusal?.retryable) return this.#retryLater(refusal, () => this.#sendMark());
      if (!refusal) this.#takeReads([{ userId: this.userId, seq: Math.max(answer.readSeq, seq) }]);
      this.#sendMark();
    });
  }

  /** @param {Message} message */
  #append(message) {
    this.messages.push(this.#changes.newest(message));
    this.#takeReads([{ userId: message.userId, seq: message.seq }]);
    if (message.userId === this.userId) this.#outbox.confirm(message, true);
  }

  /** @param {number} limit */
  async #readOlder(limit) {
    if (this.#ended) throw this.#ended;
    if (!this.hasOlder || this.messages.length === 0) return [];
    const [log, older] = [this.#log, { beforeSeq: this.messages[0].seq, limit }];
    const { messages, hasMore } = await new Promise((resolve, reject) => {
      this.#request("getHistory", older, (refusal, page) => (refusal ? reject(refusal) : resolve(page)));
    });
    if (log !== this.#log) return [];
    const present = messages.map((/** @type {Message} */ message) => this.#changes.newest(message));
    this.messages.unshift(...present);
    this.hasOlder = hasMore;
    return present;
  }

  /** Sends the oldest unsent message. One at a time, so that retries keep the order. */
  #flush() {
    const next = this.#outbox.next();
    if (!next || this.#sending || this.state !== "joined") return;
    this.#sending = true;
    const { clientMessageId, message, replyTo, metadata } = next;
    this.#request("sendMessage", { message, clientMessageId, replyTo, metadata }, (refusal, sent) => {
      const proceed = () => {
        this.#sending = false;
        this.#flush();
      };
      // On a seemingly dead connection, the stock client may send an event on the next one, before the join.
      if (refusal?.retryable || refusal?.code === "NOT_IN_ROOM") return this.#retryLater(refusal, proceed);
      if (refusal) this.#outbox.fail(next, refusal);
      else this.#outbox.confirm(sent.message, sent.message.seq <= (this.#cursor ?? 0));
      proceed();
    });
  }

  /**
   * Retries later, and rejoins first if the server says that the room was left.
   * @param {Refusal} refusal
   * @param {() => void} action
   */
  #retryLater(refusal, action) {
    const isOut = refusal.code === "NOT_IN_ROOM" && this.state === "joined";
    later(refusal, () => {
      if (isOut && this.state === "joined") {
        this.#setState("joining");
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
    this.#emit("members", this.members);
  }

  /**
   * @param {Exclude<keyof ClientToServerEvents, "typing">} event
   * @param {object} payload
   * @param {(refusal: Refusal | null, answer: any) => void} answered
   */
  #request(event, payload, answered) {
    request(this.#socket, event, { roomId: this.roomId, ...payload }, answered);
  }

  /** @param {Refusal} refusal */
  #handleRefusal(refusal) {
    this.#trouble = refusal;
    this.#emit("trouble", refusal);
    if (refusal.retryable) return;
    this.#close(refusal, refusal);
    this.#emit("closed", refusal);
  }

  #giveUp() {
    this.#leave(this.#trouble ?? refusal(NO_ANSWER));
  }

  /** @param {Refusal} why */
  #leave(why) {
    const isLast = this.#close(why, refusal(LEFT_EARLY));
    if (isLast && this.#socket.connected) this.#request("leaveRoom", {}, () => {});
  }

  /**
   * Closes the room. Returns true if no other room of this id is open on the socket.
   * @param {Refusal} why
   * @param {Refusal} refusal for unanswered messages
   */
  #close(why, refusal) {
    clearTimeout(this.#timer);
    this.#ended = why;
    this.#setState("closed");
    for (const [event, listener] of this.#listeners) this.#socket.off(/** @type {any} */ (event), listener);
    this.#socket.io.off("close", this.#watchSocket);
    this.#joining.reject(why);
    this.#outbox.settle(refusal);
    return changeCount(this.#socket, this.roomId, -1) === 0;
  }

  /** Settles unanswered messages if the socket stays closed: no event reports a close by the application. */
  #watchSocket = () => {
    if (this.#socket.active || this.#outbox.next() === undefined) return;
    setTimeout(() => this.#socket.active || this.#outbox.settle(refusal(CLOSED_SOCKET)), CLOSED_MS);
  };

  /** @param {Room["state"]} state */
  #setState(state) {
    this.state = state;
    this.#emit("state", state);
  }

  /** @param {keyof RoomEvents} event @param {unknown} detail */
  #emit(event, detail) {
    this.#events.dispatchEvent(Object.assign(new Event(event), { detail }));
  }
}

/** Returns a rejected promise; callers may ignore it. @param {Refusal} why @returns {Promise<never>} */
function rejected(why) {
  const promise = Promise.reject(why);
  promise.catch(() => {});
  return promise;
}

/**
 * Changes the number of open rooms of an id on a socket, and returns it.
 * @param {ParlorSocket} socket
 * @param {string} roomId
 * @param {1 | -1} change
 */
function changeCount(socket, roomId, change) {
  const rooms = openRooms.get(socket) ?? new Map();
  openRooms.set(socket, rooms);
  const now = (rooms.get(roomId) ?? 0) + change;
  if (now === 0) rooms.delete(roomId);
  else rooms.set(roomId, now);
  return now;
}

/** Reads a `connect_error`; the server's refusals begin with a code. @param {ParlorSocket} socket @param {Error} error */
function refusedConnection(socket, error) {
  if (socket.active) return refusedRequest(error);
  const code = /** @type {ErrorBody["code"]} */ (/^[A-Z_]+(?=: )/.exec(error.message)?.[0] ?? "INTERNAL");
  return refusal({ code, message: error.message, retryable: code === "UNAVAILABLE" || code === "RATE_LIMITED" });
}

/** Reads the reason of a failed request from its body, if the client exposes that. @param {any} error */
function refusedRequest(error) {
  try {
    const body = JSON.parse(error.context.responseText).error;
    if (typeof body.code === "string") return refusal(body);
  } catch {
    // No such body: nobody answered, or not a Parlor.
  }
  return refusal({ code: "UNAVAILABLE", message: `the server cannot be reached: ${error.message}`, retryable: true });
}
