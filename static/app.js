/**
 * The page: the entry form, and the conversation that it leads to.
 *
 * @import { Words } from "./words.js"
 */

import { converse } from "./conversation.js";
import { keep, kept } from "./kept.js";
import { page } from "./page.js";
import { showWords } from "./text.js";

const NAME_KEY = "parlorName";
const INCOMPLETE = { text: "The page is incomplete: the Socket.IO client did not load.", detail: "" };

/** Shows the form. A reload keeps the history entry's state, so it goes straight back into the room. */
function start() {
  const room = new URLSearchParams(location.search).get("room") ?? "lobby";
  const { name, refusal } = history.state ?? {};
  const complete = "io" in window;
  if (complete && name) return enter(name, room);
  fillIn(name ?? kept(NAME_KEY), room);
  if (!complete) return showWords(page.refusal, INCOMPLETE);
  if (refusal?.text) showWords(page.refusal, refusal);
  history.replaceState(null, "");
  page.join.disabled = false;
}

/** Fills in what nobody has typed yet, and takes the focus from nobody. @param {string} name @param {string} room */
function fillIn(name, room) {
  page.name.value ||= name;
  page.room.value ||= room;
  page.entry.classList.add("ready");
  if (document.activeElement === document.body) (page.name.value ? page.room : page.name).focus();
}

/** @param {string} userId @param {string} roomId */
function enter(userId, roomId) {
  page.entry.hidden = true;
  page.chat.hidden = false;
  converse(userId, roomId, leave);
}

/**
 * Goes back to the form, with the reason if it was not the user's wish. The page begins anew: nothing is left of the room.
 * @param {Words} [refusal]
 */
function leave(refusal) {
  history.replaceState({ refusal }, "");
  location.reload();
}

page.joinForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, room] = [page.name.value.trim(), page.room.value.trim()];
  if (!name || !room) return;
  keep(NAME_KEY, name);
  history.replaceState({ name }, "", `?${new URLSearchParams({ room })}`);
  enter(name, room);
});

start();
