/**
 * The form for a new room, in the panel of rooms.
 *
 * @import { CreateRoom } from "./parlor.js"
 * @import { Parlor, Refusal } from "./parlor-client.js"
 */

import { page } from "./page.js";
import { go } from "./rooms.js";
import { showWords } from "./text.js";
import { refusedRoom } from "./words.js";

/** Creates a room on each submit, and enters it. @param {Parlor} parlor @param {string} userId */
export function createRooms(parlor, userId) {
  page.createForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    const roomId = page.createName.value.trim();
    if (!roomId) return;
    showWords(page.createTrouble, null);
    page.create.disabled = true;
    try {
      await parlor.createRoom(roomId, entered());
      go(roomId, userId);
    } catch (refusal) {
      showWords(page.createTrouble, refusedRoom(/** @type {Refusal} */ (refusal)));
    } finally {
      page.create.disabled = false;
    }
  });
}

/** Returns the settings in the form. @returns {Omit<CreateRoom, "roomId">} */
function entered() {
  const members = page.createMembers.value.split("\n").map((name) => name.trim());
  return {
    title: page.createTitle.value.trim(),
    access: page.createPrivate.checked ? "members" : "open",
    members: members.filter(Boolean),
  };
}
