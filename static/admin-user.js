/**
 * The details of a user: the connections, their rooms, and their end.
 *
 * @import { Api, UserPresence } from "./admin-api.js"
 */

import { confirmed } from "./admin-confirm.js";
import { list } from "./admin-room.js";
import { count, fill, linkTo } from "./admin-show.js";
import { counted, element, plainlyIsolated } from "./text.js";

/** The most rooms that the server names. */
const ROOMS = 20;

/** A user in detail. */
export class UserView {
  kind = "User";
  body = element("div", "view");
  #api;
  #userId;
  #changed;
  #facts = element("dl", "facts");
  #rooms = list("In rooms now");
  #disconnect = /** @type {HTMLButtonElement} */ (element("button", "danger", "Disconnect"));

  /** @param {Api} api @param {string} userId @param {() => void} changed is called after an act */
  constructor(api, userId, changed) {
    this.#api = api;
    this.#userId = userId;
    this.#changed = changed;
    this.#disconnect.type = "button";
    this.#disconnect.addEventListener("click", () => this.#end());
    this.#rooms.rows.className = "names";
    this.body.append(this.#facts, element("p", "actions", this.#disconnect), this.#rooms.section);
  }

  /** Reads the user again, and returns the function that shows it. */
  async read() {
    const presence = await this.#api.user(this.#userId);
    return () => this.#show(presence);
  }

  /** @param {UserPresence} presence */
  #show({ connections, rooms }) {
    fill(this.#facts, [["Connections", count(connections)]], ([name]) => name, ([name, value]) =>
      element("div", "", element("dt", "", name), element("dd", "", value)),
    );
    this.#disconnect.disabled = connections === 0;
    fill(this.#rooms.rows, rooms, (room) => room, (room) => element("li", "", linkTo("room", room)));
    this.#rooms.note(rooms.length === ROOMS ? `At most ${ROOMS} are named.` : "", rooms.length === 0 ? "None." : "");
  }

  async #end() {
    const name = plainlyIsolated(this.#userId);
    /** @type {UserPresence | undefined} */
    let ended;
    const act = {
      title: `Disconnect ${name}?`,
      text: `All connections of ${name} end on every server. A valid token lets ${name} come back.`,
      label: "Disconnect user",
      act: async () => {
        ended = await this.#api.disconnect(this.#userId);
        act.done = `${counted(ended.connections, "connection")} of ${name} ended.`;
      },
      done: "",
    };
    if (await confirmed(act)) this.#changed();
  }
}
