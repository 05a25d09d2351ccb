/**
 * The typing indicator: sends the user's state, and shows that of others.
 *
 * @import { ParlorSocket } from "./parlor-client.js"
 * @import { UserTyping } from "./parlor.js"
 */

import { isolated } from "./text.js";

/** The interval of repeats while the user keeps typing. */
const REPEAT_MS = 2_000;
/** A typist without a repeat for this long has stopped. */
const EXPIRES_MS = 5_000;

export class TypingLine {
  #socket;
  #roomId;
  #show;
  /** The current typists, each with the timer of its expiry. @type {Map<string, ReturnType<typeof setTimeout>>} */
  #typists = new Map();
  #notifiedAt = 0;

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

  /** Notifies the others; call it at each key. @param {boolean} isTyping */
  notify(isTyping) {
    const due = isTyping ? Date.now() - this.#notifiedAt > REPEAT_MS : this.#notifiedAt > 0;
    if (!due) return;
    this.#notifiedAt = isTyping ? Date.now() : 0;
    // Not `volatile`, because that drops it during a request or a change of transport; nor kept for a later connection.
    if (this.#socket.connected) this.#socket.emit("typing", { roomId: this.#roomId, isTyping });
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
