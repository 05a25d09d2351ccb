/**
 * The details of a room: its members, those present, its last messages, and the acts on them.
 *
 * @import { Api, HistoryPage, Member, RoomPresence, RoomState } from "./admin-api.js"
 * @import { Conversation, Message } from "./parlor.js"
 */

import { confirmed } from "./admin-confirm.js";
import { count, fill, linkTo } from "./admin-show.js";
import { button, clock, day, element, isolated, plainlyIsolated } from "./text.js";

/** The most messages shown. */
const MESSAGES = 20;
/** The most members shown. */
const MEMBERS = 100;

/** A room in detail. */
export class RoomView {
  kind = "Room";
  body = element("div", "view");
  #api;
  #roomId;
  #changed;
  #facts = element("dl", "facts");
  #actions = element("p", "actions");
  #present = list("Present now");
  #members = list("Members");
  #messages = list("Last messages");

  /** @param {Api} api @param {string} roomId @param {() => void} changed is called after an act */
  constructor(api, roomId, changed) {
    this.#api = api;
    this.#roomId = roomId;
    this.#changed = changed;
    this.#members.section.hidden = true;
    this.#messages.rows.className = "messages";
    this.#present.rows.className = "names";
    this.body.append(this.#facts, this.#actions, this.#present.section, this.#members.section, this.#messages.section);
  }

  /** Reads the room again, and returns the function that shows it. */
  async read() {
    const [api, roomId] = [this.#api, this.#roomId];
    const [state, present, history] = await Promise.all([api.room(roomId), api.present(roomId), api.messages(roomId, MESSAGES)]);
    const members = state.room ? await api.members(roomId, MEMBERS) : undefined;
    return () => {
      this.#showFacts(state, present);
      this.#showActions(state.room?.conversation);
      this.#showPresent(present);
      this.#showMembers(members?.members, Boolean(members?.cursor));
      this.#showMessages(history);
    };
  }

  /** @param {RoomState} state @param {RoomPresence} present */
  #showFacts({ room, lastSeq, lastRevision }, { memberCount }) {
    const access = room ? (room.access === "members" ? "Members only" : "Everybody") : "Everybody; nobody created it";
    fill(this.#facts, [
      ...(room?.title ? [["Title", room.title]] : []),
      ["Open to", access],
      ...(room?.conversation ? [["Conversation", stateOf(room.conversation)]] : []),
      ["Present", count(memberCount)],
      ["Messages", count(lastSeq)],
      ["Changes", count(lastRevision)],
    ], ([name]) => name, ([name, value]) => element("div", "", element("dt", "", name), element("dd", "", isolated(value))));
  }

  /** @param {Conversation | undefined} conversation */
  #showActions(conversation) {
    const acts = conversation && conversation.state !== "closed" ? ["Close conversation"] : [];
    this.#actions.hidden = acts.length === 0;
    fill(this.#actions, acts, (act) => act, (act) => button(act, () => this.#close()));
  }

  /** @param {RoomPresence} present */
  #showPresent({ members, memberCount }) {
    const names = [...members].sort((a, b) => a.localeCompare(b));
    fill(this.#present.rows, names, (name) => name, (name) => element("li", "", linkTo("user", name)));
    const more = memberCount - members.length;
    this.#present.note(more > 0 ? `And ${count(more)} more.` : "", memberCount === 0 ? "Nobody." : "");
  }

  /** @param {Member[] | undefined} members @param {boolean} hasMore */
  #showMembers(members, hasMore) {
    this.#members.section.hidden = members === undefined;
    fill(this.#members.rows, members ?? [], ({ userId }) => userId, ({ userId, role }) => {
      const remove = button("Remove", () => this.#remove(userId));
      remove.ariaLabel = `Remove ${plainlyIsolated(userId)}`;
      return element("li", "member", linkTo("user", userId), element("span", "tag", role), remove);
    });
    this.#members.note(hasMore ? `The first ${MEMBERS}, by their names.` : "", members?.length === 0 ? "None." : "");
  }

  /** @param {HistoryPage} history */
  #showMessages({ messages, hasMore }) {
    fill(this.#messages.rows, [...messages].reverse(), ({ id }) => id, (message) => this.#message(message));
    this.#messages.note(hasMore ? `The newest ${MESSAGES}.` : "", messages.length === 0 ? "None." : "");
  }

  /** @param {Message} message */
  #message(message) {
    const { userId, operatorId, message: text, timestamp, seq, deletedAt } = message;
    const at = new Date(timestamp);
    const time = /** @type {HTMLTimeElement} */ (element("time", "muted", `${day(at)}, ${clock(at)}`));
    time.dateTime = timestamp;
    const by = element("div", "by", linkTo("user", userId), ...(operatorId ? [element("span", "tag", "operator")] : []), time, element("span", "muted", `#${seq}`));
    if (deletedAt) return element("li", "", by, element("p", "muted", "Deleted"));
    const erase = button("Delete", () => this.#delete(message));
    erase.ariaLabel = `Delete message ${seq} of ${plainlyIsolated(userId)}`;
    by.append(erase);
    const body = element("p", "body", text);
    body.dir = "auto";
    return element("li", "", by, body);
  }

  /** @param {Message} message */
  async #delete({ seq, userId }) {
    await this.#act({
      title: `Delete message ${seq}?`,
      text: `The text that ${plainlyIsolated(userId)} wrote is erased for ever, for everybody. Its place stays.`,
      label: "Delete message",
      act: () => this.#api.deleteMessage(this.#roomId, seq),
      done: `Message ${seq} is deleted.`,
    });
  }

  async #close() {
    await this.#act({
      title: "Close this conversation?",
      text: "No operator has it any more. The customer's next message opens it again.",
      label: "Close conversation",
      act: () => this.#api.closeConversation(this.#roomId),
      done: "The conversation is closed.",
    });
  }

  /** @param {string} userId */
  async #remove(userId) {
    const name = plainlyIsolated(userId);
    await this.#act({
      title: `Remove ${name}?`,
      text: `${name} is put out of this room on every server, and may not come back until somebody adds ${name} again.`,
      label: "Remove member",
      act: () => this.#api.removeMember(this.#roomId, userId),
      done: `${name} is removed.`,
    });
  }

  /** @param {import("./admin-confirm.js").Act} act */
  async #act(act) {
    if (await confirmed(act)) this.#changed();
  }
}

/** Describes the state of a conversation. @param {Conversation} conversation */
function stateOf({ state, operatorId }) {
  if (state === "closed") return "Closed";
  return operatorId === undefined ? "Waits for an operator" : `Claimed by ${operatorId}`;
}

/** Makes a list under a heading. @param {string} heading */
export function list(heading) {
  const [title, rows, note, empty] = [element("h3", "", heading), element("ul"), element("p", "muted note"), element("p", "muted")];
  return {
    section: element("section", "", title, rows, empty, note),
    rows,
    /** @param {string} more @param {string} none */
    note(more, none) {
      [note.textContent, empty.textContent] = [more, none];
      [note.hidden, empty.hidden] = [!more, !none];
    },
  };
}
