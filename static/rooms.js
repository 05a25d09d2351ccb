/**
 * The list of the user's rooms, over the conversation on demand.
 *
 * @import { RoomSummary } from "./parlor.js"
 * @import { Refusal } from "./parlor-client.js"
 * @import { RoomList } from "./parlor-rooms.js"
 */

import { page } from "./page.js";
import { button, counted, element, isolated, showWords } from "./text.js";
import { refusedSend } from "./words.js";

/** Larger counts of unread messages are not told apart. */
const MOST_COUNTED = 99;

/**
 * Shows a list now and after each change.
 * @param {RoomList} list
 * @param {string} userId
 * @param {string} roomId the room on the page
 */
export function showRooms(list, userId, roomId) {
  const show = () => {
    const others = list.rooms.filter((room) => room.roomId !== roomId && !room.muted);
    const unread = others.reduce((sum, room) => sum + room.unread, 0);
    page.roomsUnread.hidden = unread === 0;
    page.roomsUnread.textContent = short(unread);
    page.roomsButton.ariaLabel = unread > 0 ? `Rooms, ${counted(unread, "unread message")}` : "Rooms";
    page.roomList.replaceChildren(...list.rooms.map((room) => entry(room, userId, roomId)));
    page.noRooms.hidden = list.rooms.length > 0;
    const present = list.rooms.find((room) => room.roomId === roomId);
    page.roomActions.replaceChildren(...actions(list, roomId, present));
  };
  list.on("change", show);
  show();
}

/** @param {number} count */
const short = (count) => (count > MOST_COUNTED ? `${MOST_COUNTED}+` : String(count));

/** @param {RoomSummary} room @param {string} userId @param {string} present */
function entry({ roomId, title, lastMessage, unread, muted }, userId, present) {
  const name = element("p", "name", isolated(title ?? roomId));
  if (title !== undefined) name.append(element("small", "muted", isolated(roomId)));
  const link = enterRoom(roomId, userId, name);
  if (roomId === present) link.ariaCurrent = "page";
  if (lastMessage) {
    const text = lastMessage.deletedAt ? "Message deleted" : lastMessage.message;
    link.append(element("p", "last", isolated(lastMessage.userId), ": ", isolated(text)));
  }
  if (muted) name.append(element("span", "tag", "muted"));
  if (unread > 0) name.append(element("span", muted ? "tag" : "tag unread", short(unread), element("span", "unseen", " unread")));
  return element("li", "", link);
}

/** Makes a link that leads into a room under the same name. @param {string} roomId @param {string} userId @param {...HTMLElement} content */
export function enterRoom(roomId, userId, ...content) {
  const link = /** @type {HTMLAnchorElement} */ (element("a", "", ...content));
  link.href = addressOf(roomId);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(roomId, userId);
  });
  return link;
}

/** Enters a room under the same name. @param {string} roomId @param {string} userId */
export function go(roomId, userId) {
  history.pushState({ name: userId }, "", addressOf(roomId));
  location.reload();
}

/** @param {string} roomId */
const addressOf = (roomId) => `?${new URLSearchParams({ room: roomId })}`;

/** @param {RoomList} list @param {string} roomId @param {RoomSummary | undefined} room */
function actions(list, roomId, room) {
  /** @param {Promise<void>} asked */
  const report = (asked) => asked.catch((/** @type {Refusal} */ refusal) => showWords(page.trouble, refusedSend(refusal)));
  if (!room) return [button("Add this room to the list", () => report(list.follow(roomId)))];
  return [
    button(room.muted ? "Unmute this room" : "Mute this room", () => report(list.follow(roomId, !room.muted))),
    button("Take this room off the list", () => report(list.unfollow(roomId))),
  ];
}

/** @param {boolean} open */
function setOpen(open) {
  page.rooms.hidden = !open;
  page.roomsButton.ariaExpanded = String(open);
}

page.roomsButton.addEventListener("click", () => setOpen(page.rooms.hidden === true));
page.closeRooms.addEventListener("click", () => {
  setOpen(false);
  page.roomsButton.focus();
});
page.scroll.addEventListener("click", () => setOpen(false));
document.addEventListener("keydown", ({ key, isComposing }) => {
  if (key !== "Escape" || isComposing || page.rooms.hidden) return;
  setOpen(false);
  page.roomsButton.focus();
});
