/**
 * The details beside the overview: of the room or the user that the address names after its `#`.
 *
 * @import { Api } from "./admin-api.js"
 * @import { Words } from "./words.js"
 */

import { page } from "./admin-page.js";
import { RoomView } from "./admin-room.js";
import { UserView } from "./admin-user.js";
import { isolated, showWords } from "./text.js";
import { refusedAct } from "./words.js";

/** The details, or none. */
export class Detail {
  #api;
  #changed;
  /** @type {RoomView | UserView | null} */
  #view = null;
  /** The element that had the focus before the details. @type {Element | null} */
  #before = null;

  /** @param {Api} api @param {() => void} changed is called when there is something else to read */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** Shows what the address names. */
  follow() {
    const fields = new URLSearchParams(location.hash.slice(1));
    const [room, user] = [fields.get("room"), fields.get("user")];
    const name = room ?? user;
    const wasOpen = this.#view !== null;
    if (!wasOpen) this.#before = document.activeElement;
    this.#view = name === null ? null : new (room === null ? UserView : RoomView)(this.#api, name, this.#changed);
    page.detail.hidden = this.#view === null;
    page.admin.classList.toggle("with-detail", this.#view !== null);
    if (!this.#view) return wasOpen && this.#restoreFocus();
    page.detailKind.textContent = this.#view.kind;
    page.detailTitle.replaceChildren(isolated(name ?? ""));
    page.detailBody.replaceChildren();
    this.#showTrouble(null);
    page.detail.scrollTo(0, 0);
    page.detailTitle.focus();
  }

  /** Reads it again, and shows it unless something else is shown meanwhile. */
  async refresh() {
    const view = this.#view;
    if (!view) return;
    try {
      const show = await view.read();
      if (view !== this.#view) return;
      show();
      if (page.detailBody.firstChild !== view.body) page.detailBody.replaceChildren(view.body);
      this.#showTrouble(null);
    } catch (refused) {
      if (view === this.#view) this.#showTrouble(refusedAct(/** @type {any} */ (refused)));
    }
  }

  /** Shows a reason, with the last figures greyed, or hides it. @param {Words | null} words */
  #showTrouble(words) {
    page.detail.classList.toggle("stale", words !== null);
    showWords(page.detailTrouble, words);
  }

  #restoreFocus() {
    if (this.#before instanceof HTMLElement && this.#before.isConnected) this.#before.focus();
  }
}
