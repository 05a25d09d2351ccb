/**
 * The live list of a user's rooms.
 *
 *     const list = parlor.rooms();
 *     list.on("change", (rooms) => rooms.forEach(({ roomId, unread }) => show(roomId, unread)));
 *
 * @import { RoomActivity, RoomSummary, RoomsPage } from "./parlor.js"
 * @import { ParlorSocket, Refusal } from "./parlor-client.js"
 */

import { later, request } from "./parlor-request.js";

/** The rooms that a user follows, the latest activity first. Right again after every reconnect. Made by `Parlor.rooms`. */
export class RoomList {
  /** @type {RoomSummary[]} */
  rooms = [];

  #socket;
  #events = new EventTarget();
  /** @type {Map<string, RoomSummary>} */
  #known = new Map();
  /** The list that is being read, and the rooms that left it meanwhile. */
  #reading = /** @type {{ rooms: Map<string, RoomSummary>, left: Set<string> } | null} */ (null);

  /** @param {ParlorSocket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on("connect", () => this.#read());
    socket.on("roomActivity", (activity) => this.#take(activity));
    if (socket.connected) this.#read();
  }

  /** The unread messages of all rooms that are not muted. */
  get unread() {
    return this.rooms.reduce((sum, { unread, muted }) => sum + (muted ? 0 : unread), 0);
  }

  /** @param {"change"} event @param {(rooms: RoomSummary[]) => void} listener */
  on(event, listener) {
    this.#events.addEventListener(event, (/** @type {any} */ { detail }) => listener(detail));
  }

  /** Puts a room into the list, or changes `muted`. Rejects with a {@link Refusal}. @param {string} roomId @param {boolean} [muted] */
  follow(roomId, muted) {
    return this.#ask("followRoom", { roomId, muted });
  }

  /** Takes a room out of the list. Rejects with a {@link Refusal}. @param {string} roomId */
  unfollow(roomId) {
    return this.#ask("unfollowRoom", { roomId });
  }

  /** @param {"followRoom" | "unfollowRoom"} event @param {object} payload @returns {Promise<void>} */
  #ask(event, payload) {
    return new Promise((resolve, reject) => {
      request(this.#socket, event, payload, (refusal) => (refusal ? reject(refusal) : resolve()));
    });
  }

  /** Begins to watch, then reads the whole list: whatever changes meanwhile is told. */
  #read() {
    const reading = { rooms: new Map(), left: new Set() };
    this.#reading = reading;
    /** @param {Refusal} refusal */
    const retry = (refusal) => {
      if (refusal.retryable) later(refusal, () => this.#reading === reading && this.#socket.connected && this.#read());
    };
    /** @param {string | null} cursor */
    const read = (cursor) =>
      request(this.#socket, "listRooms", { cursor }, (refusal, page) => {
        if (this.#reading !== reading) return;
        if (refusal) return retry(refusal);
        this.#takePage(page);
        if (page.cursor !== null) return read(page.cursor);
        this.#reading = null;
        this.#known = reading.rooms;
        this.#changed();
      });
    request(this.#socket, "watchRooms", { on: true }, (refusal) => (refusal ? retry(refusal) : read(null)));
  }

  /** @param {RoomsPage} page */
  #takePage({ rooms }) {
    for (const room of rooms) {
      const known = this.#reading?.rooms.get(room.roomId);
      const isOld = known !== undefined && known.lastSeq > room.lastSeq;
      if (!isOld && !this.#reading?.left.has(room.roomId)) this.#reading?.rooms.set(room.roomId, room);
    }
  }

  /** @param {RoomActivity} activity */
  #take({ followed, ...room }) {
    for (const rooms of [this.#known, this.#reading?.rooms]) {
      if (followed) rooms?.set(room.roomId, /** @type {RoomSummary} */ (room));
      else rooms?.delete(room.roomId);
    }
    if (followed) this.#reading?.left.delete(room.roomId);
    else this.#reading?.left.add(room.roomId);
    this.#changed();
  }

  #changed() {
    const latest = (/** @type {RoomSummary} */ { lastMessage }) => lastMessage?.timestamp ?? "";
    this.rooms = [...this.#known.values()].sort((a, b) => (latest(a) < latest(b) ? 1 : latest(a) > latest(b) ? -1 : 0));
    this.#events.dispatchEvent(Object.assign(new Event("change"), { detail: this.rooms }));
  }
}
