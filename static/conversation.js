/**
 * One room on the page.
 *
 * @import { Message } from "./parlor.js"
 * @import { ParlorSocket, Refusal, Room } from "./parlor-client.js"
 * @import { Words } from "./words.js"
 */

import { showCalls } from "./call.js";
import { Composer } from "./composer.js";
import { showConnection } from "./connection.js";
import { createRooms } from "./create.js";
import { showMembers } from "./members.js";
import { Menus, report } from "./menu.js";
import { page } from "./page.js";
import { Parlor } from "./parlor-client.js";
import { showRooms } from "./rooms.js";
import { Scroller } from "./scroller.js";
import { searchRooms } from "./search.js";
import { showSeen } from "./seen.js";
import { showSettings, titleOf } from "./settings.js";
import { share } from "./share.js";
import { counted, isolated, plainlyIsolated } from "./text.js";
import { Timeline } from "./timeline.js";
import { setTitle } from "./title.js";
import { TypingLine } from "./typing.js";
import { refusedEntry } from "./words.js";

/**
 * Joins a room and shows it until the user leaves. Calls `leave`, with the reason if the server refused or ended the room.
 * @param {string} userId
 * @param {string} roomId
 * @param {(reason?: Words) => void} leave
 */
export async function converse(userId, roomId, leave) {
  page.title.textContent = roomId;
  setTitle({ room: `${plainlyIsolated(roomId)} · Parlor` });
  page.loading.hidden = false;
  // The server may be at the root, or behind a proxy under another path.
  const { pathname: path } = new URL("socket.io/", document.baseURI);
  const socket = /** @type {ParlorSocket} */ (/** @type {any} */ (window).io({ path, auth: { userId } }));
  showConnection(socket);
  /** @type {(() => Promise<unknown>) | undefined} */
  let hangUp;
  page.leave.addEventListener("click", async () => {
    await hangUp?.();
    socket.disconnect();
    leave();
  });
  page.share.addEventListener("click", share);
  /** @param {Refusal} refusal */
  const refused = (refusal) => leave(refusedEntry(refusal));
  const parlor = new Parlor(socket);
  showRooms(parlor.rooms(), userId, roomId);
  searchRooms(parlor, userId);
  createRooms(parlor, userId);
  const room = await parlor.joinRoom(roomId, { timeoutMs: Infinity }).catch(refused);
  if (!room) return;
  room.on("closed", refused);
  // A reload shows the room from its new log; the messages on the page may no longer exist.
  room.on("reset", () => location.reload());
  new Conversation(socket, room).start();
  hangUp = showCalls(room);
}

/** The page is trimmed beyond so many messages, while the reader follows them. */
const MOST_SHOWN = 300;
/** Messages left after trimming. */
const STILL_SHOWN = 150;
/** Earlier messages shown at once. */
const EARLIER = 50;

class Conversation {
  #room;
  #timeline;
  #scroller;
  #composer;
  #unread = 0;
  #loading = false;
  #settling = false;
  /** The last `seq` missed while away, and true once the first of them is shown. */
  #missed = { until: 0, shown: false };

  /** @param {ParlorSocket} socket @param {Room} room */
  constructor(socket, room) {
    this.#room = room;
    this.#timeline = new Timeline(page.messages, page.outbox, room.userId, (seq) => this.#find(seq));
    const typing = new TypingLine(socket, room.roomId, (...line) => page.typing.replaceChildren(...line));
    this.#scroller = new Scroller(page.scroll, page.older, {
      moved: () => this.#markRead(),
      nearBeginning: () => this.#loadOlder(),
      asideHeight: () => this.#timeline.failedHeight,
    });
    this.#composer = new Composer(room.userId, room.roomId, {
      notifyTyping: (isTyping) => typing.notify(isTyping),
      send: (text) => {
        room.send(text);
        this.#scroller.toEnd();
      },
    });
  }

  /** @param {number} seq */
  #find(seq) {
    return this.#room.messages.find((message) => message.seq === seq);
  }

  /** @param {Message} message */
  #reply({ seq, userId }) {
    this.#composer.begin(["Reply to ", isolated(userId)], (text) => {
      this.#room.send(text, { replyTo: seq });
      this.#scroller.toEnd();
    });
  }

  /** @param {Message} message */
  #edit({ seq, message }) {
    this.#composer.begin(["Edit your message"], (text) => report(this.#room.edit(seq, text)), message);
  }

  start() {
    const room = this.#room;
    page.loading.hidden = true;
    room.messages.forEach((message) => this.#timeline.append(message));
    this.#showBeginning();
    showMembers(room);
    showSettings(room);
    this.#showOutbox();
    this.#scroller.toEnd();
    new Menus(room, { reply: (message) => this.#reply(message), edit: (message) => this.#edit(message) });
    room.on("read", () => this.#settle());
    this.#settle();
    room.on("message", (message) => this.#receive(message));
    room.on("change", (message) => {
      this.#timeline.update(message);
      this.#settle();
    });
    room.on("resume", ({ until }) => (this.#missed = { until, shown: false }));
    room.on("members", () => showMembers(room));
    room.on("info", () => {
      this.#showBeginning();
      this.#markRead();
    });
    room.on("outbox", () => this.#showOutbox());
    room.on("state", () => this.#showOutbox());
    page.older.addEventListener("click", () => this.#loadOlder());
    page.newest.addEventListener("click", () => this.#scroller.toEnd());
    document.addEventListener("visibilitychange", () => this.#markRead());
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

  /** Moves the view, once for messages in one burst. */
  #settle() {
    if (this.#settling) return;
    this.#settling = true;
    queueMicrotask(() => {
      this.#settling = false;
      if (this.#scroller.following && this.#timeline.length > MOST_SHOWN) {
        this.#timeline.keepLast(STILL_SHOWN);
        this.#showBeginning();
      }
      showSeen(this.#room);
      this.#scroller.follow();
      this.#markRead();
    });
  }

  /** Counts the messages in view as read. */
  #markRead() {
    if (this.#scroller.atEnd && document.visibilityState === "visible") {
      this.#unread = 0;
      this.#room.markRead();
    }
    setTitle({ room: `${plainlyIsolated(titleOf(this.#room))} · Parlor`, unread: this.#unread });
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

  /** The number of loaded messages before the first on the page. */
  get #earlier() {
    const { first } = this.#timeline;
    return first ? Math.max(this.#room.messages.findIndex(({ seq }) => seq === first.seq), 0) : 0;
  }

  #showBeginning() {
    const { messages } = this.#room;
    const hasOlder = this.#room.hasOlder || this.#earlier > 0;
    page.older.hidden = !hasOlder;
    page.older.textContent = "Show earlier messages";
    page.beginning.hidden = hasOlder;
    const begins = ["This is where ", isolated(titleOf(this.#room)), " begins."];
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
        const answered = entry.replyTo && this.#find(entry.replyTo);
        if (answered) this.#reply(answered);
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
