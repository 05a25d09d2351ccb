/**
 * The menu of a message: reactions, reply, edit, delete, pin.
 *
 * @import { Message } from "./parlor.js"
 * @import { Refusal, Room } from "./parlor-client.js"
 */

import { page } from "./page.js";
import { button, element, showWords } from "./text.js";
import { refusedSend } from "./words.js";

const REACTIONS = ["👍", "❤️", "😂", "😮", "🎉"];

/** Opens the menus of the messages in the list, and follows clicks on their reactions. */
export class Menus {
  #room;
  #reply;
  #edit;
  #menu = element("div", "menu");

  /** @param {Room} room @param {{ reply: (message: Message) => void, edit: (message: Message) => void }} actions */
  constructor(room, { reply, edit }) {
    this.#room = room;
    this.#reply = reply;
    this.#edit = edit;
    page.messages.addEventListener("click", ({ target }) => this.#click(/** @type {HTMLElement} */ (target)));
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.#close());
    document.addEventListener("click", ({ target }) => {
      if (!(/** @type {HTMLElement} */ (target).closest(".more, .menu"))) this.#close();
    });
  }

  /** @param {HTMLElement} target */
  #click(target) {
    const seq = Number(/** @type {HTMLElement | null} */ (target.closest("[data-seq]"))?.dataset.seq);
    const message = this.#room.messages.find((one) => one.seq === seq);
    if (!message) return;
    const more = target.closest(".more");
    if (more) this.#open(message, more);
    const chip = /** @type {HTMLElement | null} */ (target.closest(".chip"));
    if (chip?.dataset.reaction) this.#react(message, chip.dataset.reaction);
  }

  /** @param {Message} message @param {Element} more the button of the menu */
  #open(message, more) {
    const isOpen = this.#menu.previousElementSibling === more.parentElement;
    this.#close();
    if (isOpen) return;
    const own = message.userId === this.#room.userId;
    const moderates = this.#room.role === "moderator" || this.#room.role === "owner";
    const reactions = REACTIONS.map((reaction) => this.#item(reaction, () => this.#react(message, reaction)));
    const texts = [this.#item("Reply", () => this.#reply(message))];
    if (own && !message.metadata?.call) texts.push(this.#item("Edit", () => this.#edit(message)));
    texts.push(this.#item(message.pinned ? "Unpin" : "Pin", () => report(this.#room.pin(message.seq, !message.pinned))));
    if (own || moderates) texts.push(this.#item("Delete for everybody", () => report(this.#room.delete(message.seq))));
    this.#menu.replaceChildren(element("p", "", ...reactions), element("p", "", ...texts));
    more.ariaExpanded = "true";
    more.parentElement?.after(this.#menu);
    this.#menu.querySelector("button")?.focus();
    this.#menu.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} label @param {() => void} act */
  #item(label, act) {
    return button(label, () => {
      this.#close();
      act();
    });
  }

  /** Sets the user's reaction, or takes it back. @param {Message} message @param {string} reaction */
  #react({ seq, reactions = [] }, reaction) {
    const set = reactions.find((kind) => kind.reaction === reaction)?.userIds.includes(this.#room.userId);
    report(this.#room.react(seq, reaction, !set));
  }

  #close() {
    const more = this.#menu.previousElementSibling?.querySelector(".more");
    if (more) more.ariaExpanded = "false";
    this.#menu.remove();
  }
}

/** Says why a change was refused. @param {Promise<Message>} change */
export function report(change) {
  change.catch((/** @type {Refusal} */ refusal) => showWords(page.trouble, refusedSend(refusal)));
}
