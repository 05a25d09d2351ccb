/**
 * The conversation as a list: grouped by author and day, and after it what is on its way.
 *
 * @import { Message } from "./parlor.js"
 * @import { Unconfirmed } from "./parlor-outbox.js"
 *
 * @typedef {{ message: Message, item: HTMLElement }} Shown
 * @typedef {Record<"retry" | "edit" | "discard", (failed: Unconfirmed) => void>} Actions what one can do with what failed
 */

import { avatar, clock, day, element, isolated, linked, sameDay, smallPrint } from "./text.js";
import { refusedSend } from "./words.js";

/** Messages of one author that are closer than this stand together. */
const GROUP_MS = 5 * 60_000;

export class Timeline {
  #messages;
  #outbox;
  #userId;
  /** The messages in the list, which are consecutive. @type {Shown[]} */
  #shown = [];
  /** Says that one was away, before the first of so many messages that were missed. */
  #away = { item: element("li", "away"), before: 0, missed: 0 };
  /** What is in the outbox, by its `clientMessageId`. @type {Map<string, { state: string, item: HTMLElement }>} */
  #waiting = new Map();

  /**
   * @param {HTMLElement} messages a list for the messages
   * @param {HTMLElement} outbox a list for what is on its way
   * @param {string} userId whose messages are one's own
   */
  constructor(messages, outbox, userId) {
    this.#messages = messages;
    this.#outbox = outbox;
    this.#userId = userId;
  }

  /** Shows a message after the others. @param {Message} message */
  append(message) {
    const last = this.#shown.at(-1)?.message;
    const shown = this.#show(message, last);
    this.#messages.append(shown.item);
    if (last && !sameDay(timeOf(message), timeOf(last))) this.#nameDays();
    this.#shown.push(shown);
  }

  /** Names the days anew: the one that was today is yesterday now. */
  #nameDays() {
    for (const heading of this.#messages.querySelectorAll(".day:not([hidden])")) {
      const time = heading.parentElement?.querySelector("time");
      if (time) heading.textContent = day(new Date(time.dateTime));
    }
  }

  /** Shows messages before the others. @param {Message[]} messages oldest first; not none */
  prepend(messages) {
    /** @type {Shown[]} */
    const shown = [];
    for (const message of messages) shown.push(this.#show(message, shown.at(-1)?.message));
    this.#messages.prepend(...shown.map(({ item }) => item));
    if (this.#shown.length > 0) arrange(this.#shown[0], shown.at(-1)?.message);
    this.#shown.unshift(...shown);
    shown.find(({ message }) => message.seq === this.#away.before)?.item.before(this.#away.item);
  }

  /** How many messages are shown. */
  get length() {
    return this.#shown.length;
  }

  /** The first message shown. */
  get first() {
    return this.#shown[0]?.message;
  }

  /** Takes all but the last messages out of the list. @param {number} count how many stay, at least one */
  keepLast(count) {
    this.#shown.splice(0, this.#shown.length - count);
    const [first] = this.#shown;
    while (this.#messages.firstChild !== first.item) this.#messages.firstChild?.remove();
    arrange(first);
  }

  /** Shows a message that came while one was away; `first` begins a new count of them. @param {Message} message */
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
   * Shows what is on its way, and after it what failed; says whether something has failed since.
   * @param {Unconfirmed[]} entries
   * @param {boolean} joined
   * @param {Actions} actions
   */
  showOutbox(entries, joined, actions) {
    const before = this.#waiting;
    const failed = entries.filter(({ status }) => status === "failed");
    const ordered = [...entries.filter(({ status }) => status !== "failed"), ...failed];
    // Those that stay as they are keep the focus that their buttons may have.
    const shown = ordered.map((entry) => {
      const known = before.get(entry.clientMessageId);
      const now = state(entry, joined);
      return known?.state === now ? known : { state: now, item: waiting(entry, now, actions) };
    });
    this.#waiting = new Map(ordered.map(({ clientMessageId }, place) => [clientMessageId, shown[place]]));
    this.#arrangeOutbox(shown.map(({ item }) => item));
    return failed.some(({ clientMessageId }) => before.get(clientMessageId) !== this.#waiting.get(clientMessageId));
  }

  /** Puts items into the outbox, moving none that is in its place. @param {HTMLElement[]} items */
  #arrangeOutbox(items) {
    for (const item of [...this.#outbox.children]) if (!items.includes(/** @type {HTMLElement} */ (item))) item.remove();
    items.forEach((item, place) => {
      const there = this.#outbox.children[place];
      if (there !== item) this.#outbox.insertBefore(item, there ?? null);
    });
  }

  /** How much of the list's end is messages that failed, in pixels. */
  get failedHeight() {
    const first = this.#outbox.querySelector(".failed");
    return first ? this.#outbox.getBoundingClientRect().bottom - first.getBoundingClientRect().top : 0;
  }

  /** @param {Message} message @param {Message | undefined} before @returns {Shown} */
  #show(message, before) {
    const own = message.userId === this.#userId;
    const item = element("li", own ? "message own" : "message", element("p", "day"), avatar(message.userId), bubble(message, own));
    item.dataset.seq = String(message.seq);
    const shown = { message, item };
    arrange(shown, before);
    return shown;
  }
}

/** @param {Message} message */
const timeOf = ({ timestamp }) => new Date(timestamp);

/** Says the day and the author where they are not those of the message before. @param {Shown} shown @param {Message} [before] */
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

/** @param {Message} message @param {boolean} own */
function bubble({ userId, operatorId, message, timestamp }, own) {
  const by = element("p", "by", element("b", "", isolated(userId)));
  if (operatorId) by.append(element("span", "tag", "operator"));
  const at = new Date(timestamp);
  const time = /** @type {HTMLTimeElement} */ (element("time", "", clock(at)));
  time.dateTime = timestamp;
  time.title = at.toLocaleString();
  const meta = element("p", "meta", time);
  if (own) meta.append(element("span", "check", "Sent"));
  return element("div", "bubble", by, body(message), meta);
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

/** @param {string} label @param {() => void} act */
function button(label, act) {
  const made = /** @type {HTMLButtonElement} */ (element("button", "link", label));
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
