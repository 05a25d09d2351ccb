/**
 * The page: the entry form, and the conversation behind it.
 *
 * @import { Words } from "./words.js"
 */

import { converse } from "./conversation.js";
import { keep, kept } from "./kept.js";
import { page } from "./page.js";
import { showWords } from "./text.js";

const NAME_KEY = "parlorName";
const INCOMPLETE = { text: "The page is incomplete: the Socket.IO client did not load.", detail: "" };

/** Shows the form or, after a reload, the room: the history entry's state survives it. */
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

/** Fills in empty fields, without stealing the focus. @param {string} name @param {string} room */
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
 * Returns to the form, with the reason unless the user chose to leave. The page reloads, so nothing is left of the room.
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
