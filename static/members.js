/** The list of members: beside the conversation on a wide page, else over it on demand. */

/** @import { Room } from "./parlor-client.js" */

import { page } from "./page.js";
import { avatar, counted, element } from "./text.js";

/** @param {Room} room */
export function showMembers({ members, memberCount, userId }) {
  const names = [...members].sort((a, b) => a.localeCompare(b));
  const others = memberCount - names.length;
  const [count, word] = counted(memberCount, "member").split(" ");
  page.membersButton.replaceChildren(count, element("span", "label", ` ${word}`));
  page.memberList.replaceChildren(...names.map((name) => member(name, name === userId)));
  page.moreMembers.textContent = others > 0 ? `and ${others} more` : "";
}

/** @param {string} name @param {boolean} own */
function member(name, own) {
  const item = element("li", "", avatar(name), element("bdi", "name", name));
  if (own) item.append(element("span", "tag", "you"));
  return item;
}

/** @param {boolean} open */
function setOpen(open) {
  page.chat.classList.toggle("with-members", open);
  page.membersButton.ariaExpanded = String(open);
}

const isOpen = () => page.chat.classList.contains("with-members");

/** Matches pages with room for the list beside the conversation. */
const wide = window.matchMedia("(min-width: 60rem)");

page.membersButton.addEventListener("click", () => setOpen(!isOpen()));
page.closeMembers.addEventListener("click", () => {
  setOpen(false);
  page.membersButton.focus();
});
page.scroll.addEventListener("click", () => setOpen(isOpen() && wide.matches));
wide.addEventListener("change", () => setOpen(wide.matches));
document.addEventListener("keydown", ({ key, isComposing }) => {
  if (key !== "Escape" || isComposing || !isOpen()) return;
  // While somebody writes, Escape belongs to the text box.
  const writing = document.activeElement === page.text;
  if (writing && wide.matches) return;
  setOpen(false);
  if (!writing) page.membersButton.focus();
});
setOpen(wide.matches);
