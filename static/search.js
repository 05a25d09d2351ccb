/**
 * The search in the panel of rooms.
 *
 * @import { FoundMessages, Message } from "./parlor.js"
 * @import { Parlor, Refusal } from "./parlor-client.js"
 */

import { page } from "./page.js";
import { enterRoom } from "./rooms.js";
import { clock, day, element, isolated } from "./text.js";

/** Searches the user's rooms on each submit. @param {Parlor} parlor @param {string} userId */
export function searchRooms(parlor, userId) {
  let asked = 0;
  page.searchForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = page.search.value.trim();
    const number = (asked += 1);
    /** @param {string} text @param {HTMLElement[]} found */
    const show = (text, found = []) => {
      if (number !== asked) return;
      page.searchResult.textContent = text;
      page.found.replaceChildren(...found);
    };
    if (!query) return show("");
    show("Searching…");
    parlor.search(query).then(
      ({ messages, hasMore }) => show(summary(messages, hasMore), messages.map((message) => entry(message, userId))),
      (/** @type {Refusal} */ refusal) => show(refused(refusal)),
    );
  });
}

/** @param {Message[]} messages @param {boolean} hasMore */
function summary(messages, hasMore) {
  if (messages.length === 0) return "Nothing found in your rooms.";
  return hasMore ? `The newest ${messages.length} messages found` : "";
}

/** @param {Refusal} refusal */
function refused({ code }) {
  if (code === "UNKNOWN_EVENT") return "The search is turned off on this server.";
  if (code === "INVALID_PAYLOAD") return "Write a word or the beginning of one.";
  return "The search did not work. Try again in a moment.";
}

/** @param {Message} message @param {string} userId */
function entry({ roomId, userId: author, message, timestamp }, userId) {
  const at = new Date(timestamp);
  const name = element("p", "name", isolated(roomId), element("span", "tag", `${day(at)}, ${clock(at)}`));
  return element("li", "", enterRoom(roomId, userId, name, element("p", "last", isolated(author), ": ", isolated(message))));
}
