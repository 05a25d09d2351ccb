/**
 * The conversation as a list, grouped by author and day, with the outbox after it.
 *
 * @import { Message, Reactors } from "./parlor.js"
 * @import { Unconfirmed } from "./parlor-outbox.js"
 *
 * @typedef {{ message: Message, item: HTMLElement }} Shown
 * @typedef {Record<"retry" | "edit" | "discard", (failed: Unconfirmed) => void>} Actions the buttons of a failed message
 */

import { traceOf } from "./call-words.js";
import { avatar, button, clock, day, element, isolated, linked, sameDay, smallPrint } from "./text.js";
import { refusedSend } from "./words.js";

/** One author's messages within this time form a group. */
const GROUP_MS = 5 * 60_000;

export class Timeline {
  #messages;
  #outbox;
  #userId;
  #find;
  /** The messages in the list, consecutive by `seq`. @type {Shown[]} */
  #shown = [];
  /** The line before the first missed message, with their number. */
  #away = { item: element("li", "away"), before: 0, missed: 0 };
  /** The outbox's items, by `clientMessageId`. @type {Map<string, { state: string, item: HTMLElement }>} */
  #waiting = new Map();

  /**
   * @param {HTMLElement} messages a list for the messages
   * @param {HTMLElement} outbox a list for unconfirmed messages
   * @param {string} userId the page's user
   * @param {(seq: number) => Message | undefined} find returns a loaded message
   */
  constructor(messages, outbox, userId, find) {
    this.#messages = messages;
    this.#outbox = outbox;
    this.#userId = userId;
    this.#find = find;
  }

  /** Shows a message after the others. @param {Message} message */
  append(message) {
    const last = this.#shown.at(-1)?.message;
    const shown = this.#show(message, last);
    this.#messages.append(shown.item);
    if (last && !sameDay(timeOf(message), timeOf(last))) this.#nameDays();
    this.#shown.push(shown);
  }

  /** Updates the names of days after midnight: today became yesterday. */
  #nameDays() {
    for (const heading of this.#messages.querySelectorAll(".day:not([hidden])")) {
      const time = heading.parentElement?.querySelector("time");
      if (time) heading.textContent = day(new Date(time.dateTime));
    }
  }

  /** Shows messages before the others. @param {Message[]} messages oldest first, at least one */
  prepend(messages) {
    /** @type {Shown[]} */
    const shown = [];
    for (const message of messages) shown.push(this.#show(message, shown.at(-1)?.message));
    this.#messages.prepend(...shown.map(({ item }) => item));
    if (this.#shown.length > 0) arrange(this.#shown[0], shown.at(-1)?.message);
    this.#shown.unshift(...shown);
    shown.find(({ message }) => message.seq === this.#away.before)?.item.before(this.#away.item);
  }

  /** Shows a message's present state where it is in the list or quoted. @param {Message} message */
  update(message) {
    for (const shown of this.#shown) {
      if (shown.message.seq === message.seq) shown.message = message;
      else if (shown.message.replyTo !== message.seq) continue;
      shown.item.querySelector(".bubble")?.replaceWith(this.#bubble(shown.message));
    }
  }

  /** The number of messages in the list. */
  get length() {
    return this.#shown.length;
  }

  /** The first message in the list. */
  get first() {
    return this.#shown[0]?.message;
  }

  /** Removes all but the last messages. @param {number} count the number to keep, at least one */
  keepLast(count) {
    this.#shown.splice(0, this.#shown.length - count);
    const [first] = this.#shown;
    while (this.#messages.firstChild !== first.item) this.#messages.firstChild?.remove();
    arrange(first);
  }

  /** Shows a message missed while away; `first` starts a new count. @param {Message} message */
  appendMissed(message, first = false) {
    if (first) {
      Object.assign(this.#away, { before: message.seq, missed: 0 });
      this.#messages.append(this.#away.item);
    }
    this.#away.missed += 1;
    this.#away.item.textContent = `You were away · ${this.#away.missed} new`;
    this.append(message);
  }

  /**
   * Shows messages on their way, and after them failed ones. Returns true if another one has failed since the last call.
   * @param {Unconfirmed[]} entries
   * @param {boolean} joined
   * @param {Actions} actions
   */
  showOutbox(entries, joined, actions) {
    const before = this.#waiting;
    const failed = entries.filter(({ status }) => status === "failed");
    const ordered = [...entries.filter(({ status }) => status !== "failed"), ...failed];
    // Unchanged items are kept, so that their buttons keep the focus.
    const shown = ordered.map((entry) => {
      const known = before.get(entry.clientMessageId);
      const now = state(entry, joined);
      return known?.state === now ? known : { state: now, item: waiting(entry, now, actions) };
    });
    this.#waiting = new Map(ordered.map(({ clientMessageId }, place) => [clientMessageId, shown[place]]));
    this.#arrangeOutbox(shown.map(({ item }) => item));
    return failed.some(({ clientMessageId }) => before.get(clientMessageId) !== this.#waiting.get(clientMessageId));
  }

  /** Puts items into the outbox without moving those in place. @param {HTMLElement[]} items */
  #arrangeOutbox(items) {
    for (const item of [...this.#outbox.children]) if (!items.includes(/** @type {HTMLElement} */ (item))) item.remove();
    items.forEach((item, place) => {
      const there = this.#outbox.children[place];
      if (there !== item) this.#outbox.insertBefore(item, there ?? null);
    });
  }

  /** The height of the failed messages at the list's end, in pixels. */
  get failedHeight() {
    const first = this.#outbox.querySelector(".failed");
    return first ? this.#outbox.getBoundingClientRect().bottom - first.getBoundingClientRect().top : 0;
  }

  /** @param {Message} message @param {Message | undefined} before @returns {Shown} */
  #show(message, before) {
    const own = message.userId === this.#userId;
    const item = element("li", own ? "message own" : "message", element("p", "day"), avatar(message.userId), this.#bubble(message));
    item.dataset.seq = String(message.seq);
    const shown = { message, item };
    arrange(shown, before);
    return shown;
  }

  /** @param {Message} message */
  #bubble({ userId, operatorId, message, metadata, timestamp, replyTo, editedAt, deletedAt, pinned, reactions }) {
    const by = element("p", "by", element("b", "", isolated(userId)));
    if (operatorId) by.append(element("span", "tag", "operator"));
    const at = new Date(timestamp);
    const time = /** @type {HTMLTimeElement} */ (element("time", "", clock(at)));
    time.dateTime = timestamp;
    time.title = at.toLocaleString();
    const meta = element("p", "meta", time);
    if (editedAt) meta.prepend("edited ");
    if (pinned) meta.prepend("pinned ");
    if (userId === this.#userId) meta.append(element("span", "check", "Sent"));
    if (!deletedAt) meta.append(more());
    const written = trace(metadata, userId === this.#userId) ?? body(message);
    const text = deletedAt ? element("p", "body gone", "Message deleted") : written;
    const quoted = replyTo ? [quote(this.#find(replyTo))] : [];
    return element("div", "bubble", by, ...quoted, text, ...(reactions ? [reactionLine(reactions, this.#userId)] : []), meta);
  }
}

/** @param {Message} message */
const timeOf = ({ timestamp }) => new Date(timestamp);

/** Shows the day and the author only where they differ from the previous message. @param {Shown} shown @param {Message} [before] */
function arrange({ message, item }, before) {
  const at = timeOf(message);
  const earlier = before && timeOf(before);
  const today = earlier !== undefined && sameDay(at, earlier);
  const near = today && at.getTime() - earlier.getTime() < GROUP_MS;
  const sameAuthor = before?.userId === message.userId && before.operatorId === message.operatorId;
  item.classList.toggle("follows", near && sameAuthor);
  const heading = /** @type {HTMLElement} */ (item.firstElementChild);
  heading.hidden = today;
  heading.textContent = today ? "" : day(at);
}

/** Makes the button that opens a message's menu. */
function more() {
  const made = button("", () => {});
  made.classList.add("more");
  made.ariaLabel = "Actions";
  made.ariaExpanded = "false";
  return made;
}

/** @param {Message | undefined} answered */
function quote(answered) {
  if (!answered) return element("p", "quote", "Reply to an earlier message");
  const { userId, message, deletedAt } = answered;
  return element("p", "quote", isolated(userId), ": ", isolated(deletedAt ? "Message deleted" : message));
}

/** @param {Reactors[]} reactions @param {string} userId */
function reactionLine(reactions, userId) {
  const kinds = reactions.map(({ reaction, count, userIds }) => {
    const chip = button("", () => {});
    chip.className = "chip";
    chip.append(isolated(reaction), ` ${count}`);
    chip.dataset.reaction = reaction;
    chip.ariaPressed = String(userIds.includes(userId));
    chip.title = userIds.join(", ");
    return element("li", "", chip);
  });
  return element("ul", "reactions", ...kinds);
}

/** Makes the body of a message that a call left. @param {Message["metadata"]} metadata @param {boolean} own */
function trace(metadata, own) {
  const call = traceOf(metadata, own);
  if (!call) return null;
  const made = element("p", "body trace", element("b", "", call.text));
  if (call.length) made.append(element("span", "", ` · ${call.length}`));
  made.classList.toggle("video", call.isVideo);
  made.classList.toggle("missed", call.isMissed);
  return made;
}

/** @param {string} text */
function body(text) {
  const made = element("p", "body", ...linked(text));
  made.dir = "auto";
  return made;
}

/** @param {Unconfirmed} entry @param {string} state @param {Actions} actions */
function waiting(entry, state, { retry, edit, discard }) {
  const meta = element("p", "meta", state);
  const bubble = element("div", "bubble", body(entry.message), meta);
  if (entry.refusal && entry.status === "failed") {
    meta.append(...smallPrint(refusedSend(entry.refusal)));
    const again = button("Try again", () => retry(entry));
    bubble.append(element("p", "actions", again, button("Edit", () => edit(entry)), button("Discard", () => discard(entry))));
  }
  return element("li", `message own ${entry.status}`, bubble);
}

/** @param {Unconfirmed} entry @param {boolean} joined */
function state({ status, refusal }, joined) {
  if (status === "failed") return `Not sent: ${refusal ? refusedSend(refusal).text : "the server did not take it."}`;
  if (status === "sent") return "Sent";
  return joined ? "Sending…" : "Waiting for the connection…";
}
