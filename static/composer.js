/** The message box. An unsent draft survives a reload. */

import { keep, kept } from "./kept.js";
import { page } from "./page.js";

/** Matches devices without a mouse: their keyboards have no Shift+Enter. */
const touch = window.matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  #key;
  /** The purpose of the next text, unless it is a message of its own. @type {{ submit: (text: string) => void, draft: string | null } | null} */
  #purpose = null;
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

  /**
   * Lets the next text be an answer or, given the present text, a new version of a message.
   * @param {(Node | string)[]} about the line above the box
   * @param {(text: string) => void} submit
   * @param {string} [text]
   */
  begin(about, submit, text) {
    this.#end();
    this.#purpose = { submit, draft: text === undefined ? null : page.text.value };
    if (text !== undefined) page.text.value = text;
    page.aboutText.replaceChildren(...about);
    page.about.hidden = false;
    page.text.focus();
  }

  /** Ends what {@link begin} began: the draft is back. */
  #end() {
    const draft = this.#purpose?.draft ?? null;
    this.#purpose = null;
    page.about.hidden = true;
    if (draft !== null) page.text.value = draft;
  }

  #listen() {
    page.aboutCancel.addEventListener("click", () => {
      this.#end();
      page.text.focus();
    });
    page.compose.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    page.text.addEventListener("input", () => {
      if (!isDraft(this.#purpose)) return;
      keep(this.#key, page.text.value);
      this.#notifyTyping(page.text.value.trim() !== "");
    });
    page.text.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#purpose) this.#end();
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
    const purpose = this.#purpose;
    if (isDraft(purpose)) this.#write("");
    this.#end();
    this.#notifyTyping(false);
    if (purpose) purpose.submit(text);
    else this.#send(text);
  }

  /** @param {string} text */
  #write(text) {
    page.text.value = text;
    keep(this.#key, text);
  }
}

/** Returns true when the box holds the draft of a message. @param {{ draft: string | null } | null} purpose */
const isDraft = (purpose) => purpose === null || purpose.draft === null;

/** The `keyCode` of keys handled by an input method: in Safari, the Enter that ends a word has it, but no `isComposing`. */
const INPUT_METHOD_KEY = 229;

/** Returns true for keys that send: Enter, except on a phone, where it breaks the line. @param {KeyboardEvent} event */
function isSendKey({ key, shiftKey, ctrlKey, metaKey, isComposing, keyCode }) {
  if (key !== "Enter" || isComposing || keyCode === INPUT_METHOD_KEY) return false;
  return ctrlKey || metaKey || !(shiftKey || touch.matches);
}
