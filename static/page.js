/** The page's elements, by name. */

/**
 * @template {typeof HTMLElement} Kind
 * @param {string} id
 * @param {Kind} kind
 * @returns {InstanceType<Kind>}
 */
function find(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} "${id}"`);
  return /** @type {InstanceType<Kind>} */ (found);
}

export const page = {
  entry: find("entry", HTMLElement),
  refusal: find("refusal", HTMLElement),
  joinForm: find("join-form", HTMLFormElement),
  name: find("name", HTMLInputElement),
  room: find("room", HTMLInputElement),
  join: find("join", HTMLButtonElement),
  chat: find("chat", HTMLElement),
  title: find("title", HTMLElement),
  roomId: find("room-id", HTMLElement),
  status: find("status", HTMLElement),
  share: find("share", HTMLButtonElement),
  shareLabel: find("share-label", HTMLElement),
  settingsButton: find("settings-button", HTMLButtonElement),
  membersButton: find("members-button", HTMLButtonElement),
  leave: find("leave", HTMLButtonElement),
  trouble: find("trouble", HTMLElement),
  scroll: find("scroll", HTMLElement),
  loading: find("loading", HTMLElement),
  older: find("older", HTMLButtonElement),
  beginning: find("beginning", HTMLElement),
  messages: find("messages", HTMLElement),
  outbox: find("outbox", HTMLElement),
  newest: find("newest", HTMLButtonElement),
  typing: find("typing", HTMLElement),
  compose: find("compose", HTMLFormElement),
  text: find("text", HTMLTextAreaElement),
  send: find("send", HTMLButtonElement),
  roomsButton: find("rooms-button", HTMLButtonElement),
  roomsUnread: find("rooms-unread", HTMLElement),
  rooms: find("rooms", HTMLElement),
  closeRooms: find("close-rooms", HTMLButtonElement),
  roomList: find("room-list", HTMLElement),
  noRooms: find("no-rooms", HTMLElement),
  roomActions: find("room-actions", HTMLElement),
  createForm: find("create-form", HTMLFormElement),
  createName: find("create-name", HTMLInputElement),
  createTitle: find("create-title", HTMLInputElement),
  createPrivate: find("create-private", HTMLInputElement),
  createMembers: find("create-members", HTMLTextAreaElement),
  createTrouble: find("create-trouble", HTMLElement),
  create: find("create", HTMLButtonElement),
  searchForm: find("search-form", HTMLFormElement),
  search: find("search", HTMLInputElement),
  searchResult: find("search-result", HTMLElement),
  found: find("found", HTMLElement),
  seen: find("seen", HTMLElement),
  about: find("about", HTMLElement),
  aboutText: find("about-text", HTMLElement),
  aboutCancel: find("about-cancel", HTMLButtonElement),
  members: find("members", HTMLElement),
  closeMembers: find("close-members", HTMLButtonElement),
  memberList: find("member-list", HTMLElement),
  moreMembers: find("more-members", HTMLElement),
  settings: find("settings", HTMLDialogElement),
  closeSettings: find("close-settings", HTMLButtonElement),
  settingsTrouble: find("settings-trouble", HTMLElement),
  settingsResult: find("settings-result", HTMLElement),
  titleForm: find("title-form", HTMLFormElement),
  newTitle: find("new-title", HTMLInputElement),
  roleList: find("role-list", HTMLElement),
  memberForm: find("member-form", HTMLFormElement),
  newMember: find("new-member", HTMLInputElement),
  heard: find("heard", HTMLElement),
};
