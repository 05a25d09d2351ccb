/**
 * One room on the page.
 *
 * @import { Message } from "./parlor.js"
 * @import { ParlorSocket, Refusal, Room } from "./parlor-client.js"
 * @import { Words } from "./words.js"
 */

import { Composer } from "./composer.js";
import { showConnection } from "./connection.js";
import { showMembers } from "./members.js";
import { page } from "./page.js";
import { Parlor } from "./parlor-client.js";
import { Scroller } from "./scroller.js";
import { share } from "./share.js";
import { counted, isolated, plainlyIsolated } from "./text.js";
import { Timeline } from "./timeline.js";
import { TypingLine } from "./typing.js";
import { refusedEntry } from "./words.js";

/**
 * Joins a room and shows it, until `leave` is called; with the reason when the server does not want one there.
 * @param {string} userId
 * @param {string} roomId
 * @param {(reason?: Words) => void} leave
 */
export async function converse(userId, roomId, leave) {
  page.title.textContent = roomId;
  document.title = `${plainlyIsolated(roomId)} · Parlor`;
  page.loading.hidden = false;
  // The server may be at the root, or behind a proxy under a path of its own.
  const { pathname: path } = new URL("socket.io/", document.baseURI);
  const socket = /** @type {ParlorSocket} */ (/** @type {any} */ (window).io({ path, auth: { userId } }));
  showConnection(socket);
  page.leave.addEventListener("click", () => {
    socket.disconnect();
    leave();
  });
  page.share.addEventListener("click", share);
  /** @param {Refusal} refusal */
  const refused = (refusal) => leave(refusedEntry(refusal));
  const room = await new Parlor(socket).joinRoom(roomId, { timeoutMs: Infinity }).catch(refused);
  if (!room) return;
  room.on("closed", refused);
  // The page begins anew, in the same room: nothing that was shown need be there any more.
  room.on("reset", () => location.reload());
  new Conversation(socket, room).start();
}

/** How many messages are shown at most, and after that, while the reader follows them. */
const MOST_SHOWN = 300;
const STILL_SHOWN = 150;
/** How many earlier messages are shown at once. */
const EARLIER = 50;

class Conversation {
  #room;
  #timeline;
  #scroller;
  #composer;
  #unread = 0;
  #loading = false;
  #settling = false;
  /** The last `seq` of those missed while away, and whether one of them was shown. */
  #missed = { until: 0, shown: false };

  /** @param {ParlorSocket} socket @param {Room} room */
  constructor(socket, room) {
    this.#room = room;
    this.#timeline = new Timeline(page.messages, page.outbox, room.userId);
    const typing = new TypingLine(socket, room.roomId, (...line) => page.typing.replaceChildren(...line));
    this.#scroller = new Scroller(page.scroll, page.older, {
      moved: () => this.#read(),
      nearBeginning: () => this.#loadOlder(),
      asideHeight: () => this.#timeline.failedHeight,
    });
    this.#composer = new Composer(room.userId, room.roomId, {
      tellTyping: (isTyping) => typing.tell(isTyping),
      send: (text) => {
        room.send(text);
        this.#scroller.toEnd();
      },
    });
  }

  start() {
    const room = this.#room;
    page.loading.hidden = true;
    room.messages.forEach((message) => this.#timeline.append(message));
    this.#showBeginning();
    showMembers(room);
    this.#showOutbox();
    this.#scroller.toEnd();
    room.on("message", (message) => this.#receive(message));
    room.on("resume", ({ until }) => (this.#missed = { until, shown: false }));
    room.on("members", () => showMembers(room));
    room.on("outbox", () => this.#showOutbox());
    room.on("state", () => this.#showOutbox());
    page.older.addEventListener("click", () => this.#loadOlder());
    page.newest.addEventListener("click", () => this.#scroller.toEnd());
    document.addEventListener("visibilitychange", () => this.#read());
    page.text.focus();
  }

  /** @param {Message} message */
  #receive(message) {
    const own = message.userId === this.#room.userId;
    if (message.seq > this.#missed.until || own) {
      this.#timeline.append(message);
    } else {
      this.#timeline.appendMissed(message, !this.#missed.shown);
      this.#missed.shown = true;
    }
    if (this.#room.messages.length === 1) this.#showBeginning();
    this.#settle();
    if (own) return;
    page.heard.replaceChildren(isolated(message.userId), ": ", isolated(message.message));
    this.#unread += 1;
  }

  /** Moves the view, once for messages that come together. */
  #settle() {
    if (this.#settling) return;
    this.#settling = true;
    queueMicrotask(() => {
      this.#settling = false;
      if (this.#scroller.following && this.#timeline.length > MOST_SHOWN) {
        this.#timeline.keepLast(STILL_SHOWN);
        this.#showBeginning();
      }
      this.#scroller.follow();
    });
  }

  /** What is in view has been read. */
  #read() {
    if (this.#scroller.atEnd && document.visibilityState === "visible") this.#unread = 0;
    const title = `${plainlyIsolated(this.#room.roomId)} · Parlor`;
    document.title = this.#unread > 0 ? `(${this.#unread}) ${title}` : title;
    page.newest.hidden = this.#scroller.atEnd;
    page.newest.textContent = this.#unread > 0 ? counted(this.#unread, "new message") : "Newest messages";
  }

  async #loadOlder() {
    if (this.#loading) return;
    this.#loading = true;
    page.older.textContent = "Loading earlier messages…";
    try {
      if (this.#earlier === 0) await this.#room.loadOlder(EARLIER);
      this.#scroller.keep(() => {
        const end = this.#earlier;
        if (end > 0) this.#timeline.prepend(this.#room.messages.slice(Math.max(end - EARLIER, 0), end));
        this.#showBeginning();
      });
    } catch {
      page.older.textContent = "Earlier messages did not load. Try again";
    } finally {
      this.#loading = false;
    }
  }

  /** How many messages are here that come before those shown. */
  get #earlier() {
    const { first } = this.#timeline;
    return first ? Math.max(this.#room.messages.findIndex(({ seq }) => seq === first.seq), 0) : 0;
  }

  #showBeginning() {
    const { messages, roomId } = this.#room;
    const hasOlder = this.#room.hasOlder || this.#earlier > 0;
    page.older.hidden = !hasOlder;
    page.older.textContent = "Show earlier messages";
    page.beginning.hidden = hasOlder;
    const begins = ["This is where ", isolated(roomId), " begins."];
    page.beginning.replaceChildren(...(messages.length > 0 ? begins : ["No messages yet. Say hello."]));
  }

  #showOutbox() {
    const room = this.#room;
    const failed = this.#timeline.showOutbox(room.outbox, room.state === "joined", {
      retry: (entry) => {
        room.retry(entry);
        page.text.focus();
      },
      edit: (entry) => {
        this.#composer.add(entry.message);
        room.discard(entry);
      },
      discard: (entry) => {
        room.discard(entry);
        page.text.focus();
      },
    });
    if (failed) this.#scroller.toBottom();
    else this.#scroller.follow();
  }
}
