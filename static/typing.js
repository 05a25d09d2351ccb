/**
 * Who is typing: telling it, and hearing it.
 *
 * @import { ParlorSocket } from "./parlor-client.js"
 * @import { UserTyping } from "./parlor.js"
 */

import { isolated } from "./text.js";

/** How often others are told while one goes on typing. */
const REPEAT_MS = 2_000;
/** After this a typist who was not heard of again has stopped. */
const EXPIRES_MS = 5_000;

export class TypingLine {
  #socket;
  #roomId;
  #show;
  /** Who types, and when that is forgotten. @type {Map<string, ReturnType<typeof setTimeout>>} */
  #typists = new Map();
  #toldAt = 0;

  /**
   * @param {ParlorSocket} socket
   * @param {string} roomId
   * @param {(...line: (Node | string)[]) => void} show
   */
  constructor(socket, roomId, show) {
    this.#socket = socket;
    this.#roomId = roomId;
    this.#show = show;
    socket.on("typing", (typing) => typing.roomId === roomId && this.#change(typing));
    socket.on("newMessage", (message) => message.roomId === roomId && this.#change({ ...message, isTyping: false }));
  }

  /** Tells the others; to be called at each key. @param {boolean} isTyping */
  tell(isTyping) {
    const due = isTyping ? Date.now() - this.#toldAt > REPEAT_MS : this.#toldAt > 0;
    if (!due) return;
    this.#toldAt = isTyping ? Date.now() : 0;
    this.#socket.volatile.emit("typing", { roomId: this.#roomId, isTyping });
  }

  /** @param {Pick<UserTyping, "userId" | "isTyping">} typing */
  #change({ userId, isTyping }) {
    clearTimeout(this.#typists.get(userId));
    this.#typists.delete(userId);
    const expire = () => this.#change({ userId, isTyping: false });
    if (isTyping) this.#typists.set(userId, setTimeout(expire, EXPIRES_MS));
    this.#show(...line([...this.#typists.keys()]));
  }
}

/** @param {string[]} users */
function line(users) {
  const [first, second] = users.map(isolated);
  if (users.length === 0) return [];
  if (users.length === 1) return [first, " is typing…"];
  if (users.length === 2) return [first, " and ", second, " are typing…"];
  return ["Several people are typing…"];
}
