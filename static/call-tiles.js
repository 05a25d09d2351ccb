/**
 * The people in a call, each on a tile.
 *
 * @import { Calls } from "./parlor-call.js"
 * @import { Peer, Sends } from "./parlor-peer.js"
 * @import { PeerStats } from "./parlor-stats.js"
 *
 * @typedef {object} Face A party, as a tile shows it.
 * @property {string} userId
 * @property {MediaStream} stream
 * @property {Sends} sends
 * @property {Peer["path"]} path
 */

import { avatar, element, isolated } from "./text.js";

/** The key of the user's own tile. */
const OWN = "";
/** The pause between two readings of the statistics on view. */
const READING_MS = 2_000;
/** @type {Record<Peer["path"], string>} */
const PATHS = { connecting: "Connecting…", lost: "Reconnecting…", connected: "" };

export class Tiles {
  #list;
  #calls;
  #userId;
  #silenced;
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  #reading = setInterval(() => this.#read(), READING_MS);

  /**
   * @param {HTMLElement} list
   * @param {Calls} calls
   * @param {string} userId the page's user
   * @param {() => void} silenced called when the browser plays no sound before the user touches the page
   */
  constructor(list, calls, userId, silenced) {
    this.#list = list;
    this.#calls = calls;
    this.#userId = userId;
    this.#silenced = silenced;
  }

  /** Shows the parties as they are now. */
  show() {
    const { parties, stream, sends, state } = this.#calls;
    /** @type {[string, Face][]} */
    const faces = [...parties];
    if (state === "joined" || state === "joining") faces.push([OWN, { userId: this.#userId, stream, sends, path: "connected" }]);
    for (const [key, tile] of this.#tiles) {
      if (faces.some(([known]) => known === key)) continue;
      tile.item.remove();
      this.#tiles.delete(key);
    }
    for (const [key, face] of faces) this.#tile(key, face).show(face);
    this.#list.dataset.count = String(faces.length);
    this.#list.classList.toggle("voices", faces.every(([, face]) => !face.sends.video));
  }

  /** Plays all sound, after the user's touch. */
  unmute() {
    for (const [key, { video }] of this.#tiles) {
      video.muted = key === OWN;
      video.play().catch(() => {});
    }
  }

  /** @param {string} key @param {Face} face */
  #tile(key, face) {
    const known = this.#tiles.get(key);
    if (known) return known;
    const tile = new Tile(face.userId, key === OWN, this.#silenced);
    this.#tiles.set(key, tile);
    if (key === OWN) this.#list.append(tile.item);
    else this.#list.insertBefore(tile.item, this.#tiles.get(OWN)?.item ?? null);
    return tile;
  }

  async #read() {
    for (const [key, tile] of this.#tiles) {
      if (!tile.statistics.open) continue;
      const stats = await this.#calls.parties.get(key)?.stats();
      if (stats) tile.showStatistics(stats);
    }
  }
}

class Tile {
  video = /** @type {HTMLVideoElement} */ (document.createElement("video"));
  statistics = /** @type {HTMLDetailsElement} */ (document.createElement("details"));
  #figures = element("dl");
  #path = element("span", "path");
  #silent = element("span", "silent");
  #silenced;

  /** @param {string} userId @param {boolean} own @param {() => void} silenced */
  constructor(userId, own, silenced) {
    this.#silenced = silenced;
    Object.assign(this.video, { autoplay: true, playsInline: true, muted: own });
    this.video.ariaLabel = own ? "Your picture" : `Picture of ${userId}`;
    this.#silent.role = "img";
    this.#silent.ariaLabel = "muted";
    const name = element("p", "caption", this.#silent, own ? "You" : isolated(userId), this.#path);
    this.item = element("li", own ? "tile own" : "tile", this.video, avatar(userId), name);
    if (!own) this.item.append(this.#tools(userId));
  }

  /** @param {Face} face */
  show({ stream, sends, path }) {
    const picture = stream.getVideoTracks()[0];
    const present = /** @type {MediaStream | null} */ (this.video.srcObject);
    if (!present || (present !== stream && present.getVideoTracks()[0] !== picture) || present.getTracks().length < stream.getTracks().length) {
      this.video.srcObject = stream;
      this.#play();
    }
    const { classList } = this.item;
    classList.toggle("picture", sends.video && picture !== undefined);
    classList.toggle("screen", sends.screen);
    this.#silent.hidden = sends.audio;
    this.#path.textContent = PATHS[path];
  }

  /** @param {PeerStats} stats */
  showStatistics({ up, down, loss, roundTripMs, relayed, width, height, framesPerSecond }) {
    const rows = [
      ["Received", rate(down)],
      ["Sent", rate(up)],
      ["Lost", `${(100 * loss).toFixed(1)} %`],
      ["Round trip", roundTripMs === null ? "–" : `${Math.round(roundTripMs)} ms`],
      ["Picture", width > 0 ? `${width} × ${height}, ${Math.round(framesPerSecond)} a second` : "none"],
      ["Path", relayed ? "by a relay" : "direct"],
    ];
    this.#figures.replaceChildren(...rows.flatMap(([term, figure]) => [element("dt", "", term), element("dd", "", figure)]));
  }

  async #play() {
    try {
      await this.video.play();
    } catch (/** @type {any} */ error) {
      // Another stream came, or the browser wants a touch before there is sound.
      if (error.name !== "NotAllowedError") return;
      this.video.muted = true;
      this.video.play().catch(() => {});
      this.#silenced();
    }
  }

  /** @param {string} userId */
  #tools(userId) {
    const full = /** @type {HTMLButtonElement} */ (element("button", "full sign"));
    full.type = "button";
    full.ariaLabel = `Full screen: ${userId}`;
    full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : this.item.requestFullscreen()));
    const summary = element("summary", "sign");
    summary.ariaLabel = `Statistics: ${userId}`;
    this.#figures.append(element("dt", "", "Measuring…"));
    this.statistics.append(summary, this.#figures);
    return element("div", "tools", this.statistics, full);
  }
}

/** @param {number} bits a second */
const rate = (bits) => (bits >= 1_000_000 ? `${(bits / 1_000_000).toFixed(1)} Mbit/s` : `${Math.round(bits / 1_000)} kbit/s`);
