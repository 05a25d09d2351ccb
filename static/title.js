/** The document's title: the room, unread messages, and a call that rings. */

const parts = { room: "Parlor", unread: 0, ringing: "" };

/** Changes parts of the title. @param {Partial<typeof parts>} changed */
export function setTitle(changed) {
  const { room, unread, ringing } = Object.assign(parts, changed);
  document.title = ringing ? `${ringing} · ${room}` : unread > 0 ? `(${unread}) ${room}` : room;
}
