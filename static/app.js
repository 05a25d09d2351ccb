/** The page: the entry form, and the conversation that it leads to. */

import { converse } from "./conversation.js";
import { page } from "./page.js";
import { browserStorage } from "./parlor-outbox.js";

const NAME_KEY = "parlorName";

const storage = browserStorage();

/** Shows the form. A reload keeps the history entry's state, so it goes straight back into the room. */
function start() {
  const room = new URLSearchParams(location.search).get("room") ?? "lobby";
  const { name, refusal } = history.state ?? {};
  const complete = "io" in window;
  if (complete && name) return enter(name, room);
  fillIn(name ?? storage?.getItem(NAME_KEY) ?? "", room);
  if (!complete) return refuse("The page is incomplete: the Socket.IO client did not load.");
  if (refusal) refuse(refusal);
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

/** Goes back to the form, with the reason if it was not the user's wish. The page begins anew: nothing is left of the room. */
function leave(refusal = "") {
  history.replaceState({ refusal }, "");
  location.reload();
}

/** @param {string} reason */
function refuse(reason) {
  page.refusal.textContent = reason;
  page.refusal.hidden = false;
}

/** @param {string} name */
function remember(name) {
  try {
    storage?.setItem(NAME_KEY, name);
  } catch {
    // The storage is full: the name is asked for again.
  }
}

page.joinForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, room] = [page.name.value.trim(), page.room.value.trim()];
  if (!name || !room) return;
  remember(name);
  history.replaceState({ name }, "", `?${new URLSearchParams({ room })}`);
  enter(name, room);
});

start();
