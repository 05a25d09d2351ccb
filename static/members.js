/** The list of who is there: beside the conversation where there is room, else over it when asked for. */

/** @import { Room } from "./parlor-client.js" */

import { page } from "./page.js";
import { avatar, counted, element } from "./text.js";

/** @param {Room} room */
export function showMembers({ members, memberCount, userId }) {
  const names = [...members].sort((a, b) => a.localeCompare(b));
  const others = memberCount - names.length;
  page.membersButton.textContent = counted(memberCount, "member");
  page.memberList.replaceChildren(...names.map((name) => member(name, name === userId)));
  page.moreMembers.textContent = others > 0 ? `and ${others} more` : "";
}

/** @param {string} name @param {boolean} own */
function member(name, own) {
  const item = element("li", "", avatar(name), element("span", "name", name));
  if (own) item.append(element("span", "tag", "you"));
  return item;
}

/** @param {boolean} open */
function open(open) {
  page.chat.classList.toggle("with-members", open);
  page.membersButton.ariaExpanded = String(open);
}

const isOpen = () => page.chat.classList.contains("with-members");

page.membersButton.addEventListener("click", () => open(!isOpen()));
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || !isOpen()) return;
  open(false);
  page.membersButton.focus();
});
open(window.matchMedia("(min-width: 60rem)").matches);
