/** The box to write in. A text that was not sent yet outlives a reload. */

import { keep, kept } from "./kept.js";
import { page } from "./page.js";

/** A device without a mouse: its keyboard has no Shift+Enter. */
const touch = window.matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  #key;
  #tellTyping;
  #send;

  /**
   * @param {string} userId
   * @param {string} roomId
   * @param {{ tellTyping: (isTyping: boolean) => void, send: (text: string) => void }} actions
   */
  constructor(userId, roomId, { tellTyping, send }) {
    this.#key = `parlorDraft:${JSON.stringify([userId, roomId])}`;
    this.#tellTyping = tellTyping;
    this.#send = send;
    page.text.value ||= kept(this.#key);
    page.text.enterKeyHint = touch.matches ? "enter" : "send";
    page.text.disabled = false;
    page.send.disabled = false;
    this.#listen();
  }

  /** Puts a text into the box, after what is there. @param {string} text */
  add(text) {
    this.#write([page.text.value, text].filter(Boolean).join("\n"));
    page.text.focus();
  }

  #listen() {
    page.compose.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    page.text.addEventListener("input", () => {
      keep(this.#key, page.text.value);
      this.#tellTyping(page.text.value.trim() !== "");
    });
    page.text.addEventListener("keydown", (event) => {
      if (!sends(event)) return;
      event.preventDefault();
      this.#submit();
    });
    // The box keeps the focus, and a phone its keyboard.
    page.send.addEventListener("mousedown", (event) => event.preventDefault());
  }

  #submit() {
    const text = page.text.value;
    if (text.trim() === "") return;
    this.#write("");
    this.#tellTyping(false);
    this.#send(text);
  }

  /** @param {string} text */
  #write(text) {
    page.text.value = text;
    keep(this.#key, text);
  }
}

/** The code of a key that an input method has taken: Safari says so of the Enter that ends a word, and no longer that it composes. */
const TAKEN = 229;

/** Whether a key sends what is written: Enter, but on a phone's keyboard it breaks the line. @param {KeyboardEvent} event */
function sends({ key, shiftKey, ctrlKey, metaKey, isComposing, keyCode }) {
  if (key !== "Enter" || isComposing || keyCode === TAKEN) return false;
  return ctrlKey || metaKey || !(shiftKey || touch.matches);
}
