/** The message box. An unsent draft survives a reload. */

import { keep, kept } from "./kept.js";
import { page } from "./page.js";

/** Matches devices without a mouse: their keyboards have no Shift+Enter. */
const touch = window.matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  #key;
  #notifyTyping;
  #send;

  /**
   * @param {string} userId
   * @param {string} roomId
   * @param {{ notifyTyping: (isTyping: boolean) => void, send: (text: string) => void }} actions
   */
  constructor(userId, roomId, { notifyTyping, send }) {
    this.#key = `parlorDraft:${JSON.stringify([userId, roomId])}`;
    this.#notifyTyping = notifyTyping;
    this.#send = send;
    page.text.value ||= kept(this.#key);
    page.text.enterKeyHint = touch.matches ? "enter" : "send";
    page.text.disabled = false;
    page.send.disabled = false;
    this.#listen();
  }

  /** Appends a text to the box. @param {string} text */
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
      this.#notifyTyping(page.text.value.trim() !== "");
    });
    page.text.addEventListener("keydown", (event) => {
      if (!isSendKey(event)) return;
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
    this.#notifyTyping(false);
    this.#send(text);
  }

  /** @param {string} text */
  #write(text) {
    page.text.value = text;
    keep(this.#key, text);
  }
}

/** The `keyCode` of keys handled by an input method: in Safari, the Enter that ends a word has it, but no `isComposing`. */
const INPUT_METHOD_KEY = 229;

/** Returns true for keys that send: Enter, except on a phone, where it breaks the line. @param {KeyboardEvent} event */
function isSendKey({ key, shiftKey, ctrlKey, metaKey, isComposing, keyCode }) {
  if (key !== "Enter" || isComposing || keyCode === INPUT_METHOD_KEY) return false;
  return ctrlKey || metaKey || !(shiftKey || touch.matches);
}
