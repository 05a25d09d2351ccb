/**
 * The room's title in the header, and the dialog in which owners and moderators change the title and the members.
 *
 * @import { Member } from "./parlor.js"
 * @import { Refusal, Room } from "./parlor-client.js"
 */

import { page } from "./page.js";
import { avatar, button, element, isolated, showWords } from "./text.js";
import { refusedRoom } from "./words.js";

/** Returns the title of a room, or its name if it has none. @param {Pick<Room, "info" | "roomId">} room */
export const titleOf = ({ info, roomId }) => info?.title ?? roomId;

/** Shows a room's title with its name beside it, now and after each change. @param {Room} room */
export function showSettings(room) {
  new SettingsDialog(room);
  const show = () => {
    const hasTitle = room.info?.title !== undefined;
    page.title.textContent = titleOf(room);
    page.roomId.hidden = !hasTitle;
    page.roomId.textContent = hasTitle ? room.roomId : "";
    page.settingsButton.hidden = !room.info || (room.role !== "owner" && room.role !== "moderator");
  };
  room.on("info", show);
  show();
}

class SettingsDialog {
  #room;

  /** @param {Room} room */
  constructor(room) {
    this.#room = room;
    page.settingsButton.addEventListener("click", () => this.#open());
    page.closeSettings.addEventListener("click", () => page.settings.close());
    // The browser closes the dialog; the panels behind it stay.
    page.settings.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
    page.titleForm.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#report(room.set({ title: page.newTitle.value.trim() }), "Title saved.");
    });
    page.memberForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const userId = page.newMember.value.trim();
      if (userId) this.#add(userId);
    });
  }

  #open() {
    page.newTitle.value = this.#room.info?.title ?? "";
    page.newMember.value = "";
    page.settingsResult.textContent = "";
    showWords(page.settingsTrouble, null);
    page.settings.showModal();
    this.#showMembers();
  }

  /** @param {string} userId */
  async #add(userId) {
    if (!(await this.#report(this.#room.addMember(userId), isolated(userId), " is a member."))) return;
    page.newMember.value = "";
    this.#showMembers();
  }

  /** @param {string} userId */
  async #remove(userId) {
    if (!(await this.#report(this.#room.removeMember(userId), isolated(userId), " is removed."))) return;
    await this.#showMembers();
    page.roleList.focus();
  }

  async #showMembers() {
    const members = await this.#room.getMembers().catch((/** @type {Refusal} */ refusal) => this.#refused(refusal));
    if (members) page.roleList.replaceChildren(...members.map((member) => this.#entry(member)));
  }

  /** @param {Member} member */
  #entry({ userId, role }) {
    const item = element("li", "", avatar(userId), element("bdi", "name", userId));
    if (role !== "member") item.append(element("span", "tag", role));
    if (userId === this.#room.userId) item.append(element("span", "tag", "you"));
    else item.append(this.#removal(userId));
    return item;
  }

  /** @param {string} userId */
  #removal(userId) {
    const made = button("Remove", () => this.#remove(userId));
    made.ariaLabel = `Remove ${userId}`;
    return made;
  }

  /** Shows the outcome of a change. Resolves with true if it was made. @param {Promise<unknown>} change @param {...(Node | string)} done */
  async #report(change, ...done) {
    showWords(page.settingsTrouble, null);
    page.settingsResult.textContent = "";
    try {
      await change;
      page.settingsResult.replaceChildren(...done);
      return true;
    } catch (refusal) {
      this.#refused(/** @type {Refusal} */ (refusal));
      return false;
    }
  }

  /** @param {Refusal} refusal */
  #refused(refusal) {
    showWords(page.settingsTrouble, refusedRoom(refusal));
  }
}
