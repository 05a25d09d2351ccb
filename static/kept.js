/** Texts kept in the browser's storage, unless its settings forbid it or it is full. */

import { browserStorage } from "./parlor-outbox.js";

const storage = browserStorage();

/** @param {string} key */
export const kept = (key) => storage?.getItem(key) ?? "";

/** Keeps a text; an empty text removes the key. @param {string} key @param {string} text */
export function keep(key, text) {
  try {
    if (text === "") storage?.removeItem(key);
    else storage?.setItem(key, text);
  } catch {
    // The storage is full: the text lives as long as the page.
  }
}
