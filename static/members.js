/** The list of who is there: beside the conversation where there is room, else over it when asked for. */

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
function open(open) {
  page.chat.classList.toggle("with-members", open);
  page.membersButton.ariaExpanded = String(open);
}

const isOpen = () => page.chat.classList.contains("with-members");

/** Whether there is room for it beside the conversation. */
const wide = window.matchMedia("(min-width: 60rem)");

page.membersButton.addEventListener("click", () => open(!isOpen()));
page.closeMembers.addEventListener("click", () => {
  open(false);
  page.membersButton.focus();
});
page.scroll.addEventListener("click", () => open(isOpen() && wide.matches));
wide.addEventListener("change", () => open(wide.matches));
document.addEventListener("keydown", ({ key, isComposing }) => {
  if (key !== "Escape" || isComposing || !isOpen()) return;
  // The text box is left to those who write in it.
  const writing = document.activeElement === page.text;
  if (writing && wide.matches) return;
  open(false);
  if (!writing) page.membersButton.focus();
});
open(wide.matches);
