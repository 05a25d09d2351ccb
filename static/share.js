/** Copies the page's address, the room's link. */

import { page } from "./page.js";

/** The time for which the button confirms the copy. */
const COPIED_MS = 2_000;

/** Copies the address, or shows it where the browser allows no copying. */
export async function share() {
  if (!(await copy(location.href))) {
    prompt("The link to this room:", location.href);
    return;
  }
  page.share.classList.add("done");
  page.shareLabel.textContent = "Link copied";
  setTimeout(() => {
    page.share.classList.remove("done");
    page.shareLabel.textContent = "Copy link";
  }, COPIED_MS);
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have a clipboard only on HTTPS and on localhost, and may forbid it.
    return copySelected(text);
  }
}

/** Copies without `navigator.clipboard`. @param {string} text */
function copySelected(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const box = document.createElement("textarea");
  box.className = "unseen";
  box.value = text;
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  focused?.focus();
  return copied;
}
