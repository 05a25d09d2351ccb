/**
 * The camera, the microphone and the screen of a party.
 *
 * @import { Kind, Sends } from "./parlor-peer.js"
 *
 * @typedef {"missing" | "refused" | "busy" | "unavailable"} DeviceTrouble The reason for a device that does not work: there is none, the
 *   user or the browser refuses it, another program or a fault keeps it, or the browser has devices on HTTPS only.
 * @typedef {{ audio?: DeviceTrouble, video?: DeviceTrouble, screen?: DeviceTrouble }} Troubles `video`: the camera
 * @typedef {{ audio?: MediaTrackConstraints, video?: MediaTrackConstraints }} Constraints
 * @typedef {{ audio?: boolean, video?: boolean }} Wanted
 *
 * @typedef {keyof Troubles} Device
 * @typedef {object} Use A use of the devices, from a call's beginning to its end.
 * @property {Record<Device, boolean>} wanted the user's last words; an open microphone that is not wanted is muted
 * @property {Partial<Record<Device, Promise<void>>>} opening the devices that are being opened
 */

/** @type {Required<Constraints>} */
const CONSTRAINTS = { audio: {}, video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { max: 30 } } };

/** Reasons by the names of `getUserMedia`'s errors. @type {Record<string, DeviceTrouble>} */
const TROUBLES = {
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** @returns {Use} */
const newUse = () => ({ wanted: { audio: false, video: false, screen: false }, opening: {} });

/** The tracks of a party, while it is in a call. */
export class Devices {
  /** The devices that were wanted and do not work. @type {Troubles} */
  troubles = {};

  #constraints;
  #changed;
  /** @type {Record<Device, MediaStreamTrack | null>} */
  #tracks = { audio: null, video: null, screen: null };
  /** The present use: the devices of an earlier one that open late are closed. */
  #use = newUse();

  /** @param {Constraints} constraints @param {() => void} changed called after each change */
  constructor(constraints, changed) {
    this.#constraints = { ...CONSTRAINTS, ...constraints };
    this.#changed = changed;
  }

  /** The tracks to send: the screen goes before the camera. @returns {Record<Kind, MediaStreamTrack | null>} */
  get tracks() {
    return { audio: this.#tracks.audio, video: this.#tracks.screen ?? this.#tracks.video };
  }

  /** @returns {Sends} */
  get sends() {
    const { audio, video } = this.tracks;
    return { audio: audio?.enabled === true, video: video !== null, screen: this.#tracks.screen !== null };
  }

  /** Opens devices; resolves when each of them works or is in `troubles`. @param {Wanted} wanted */
  async open(wanted) {
    const { wanted: all, opening } = this.#use;
    const kinds = /** @type {Kind[]} */ (["audio", "video"]).filter((kind) => wanted[kind]);
    for (const kind of kinds) all[kind] = true;
    const closed = kinds.filter((kind) => !opening[kind]);
    const opened = this.#open(closed);
    for (const kind of closed) opening[kind] = opened;
    await Promise.all(kinds.map((kind) => opening[kind]));
  }

  /** Mutes the microphone, which stays open, or opens it. @param {boolean} on */
  async mute(on) {
    this.#use.wanted.audio = !on;
    const { audio } = this.#tracks;
    if (!audio) return on ? undefined : this.open({ audio: true });
    audio.enabled = !on;
    this.#changed();
  }

  /** Opens or closes the camera. @param {boolean} on */
  async camera(on) {
    this.#use.wanted.video = on;
    if (on && !this.#tracks.video) return this.open({ video: true });
    if (!on) this.#put("video", null);
  }

  /** Shares a screen that the user chooses, or stops that. @param {boolean} on */
  async shareScreen(on) {
    const { wanted, opening } = this.#use;
    wanted.screen = on;
    if (!on) return this.#put("screen", null);
    opening.screen ??= this.#choose(this.#use).finally(() => delete opening.screen);
    await opening.screen;
  }

  /** Closes all devices. */
  close() {
    this.#use = newUse();
    this.troubles = {};
    for (const track of Object.values(this.#tracks)) track?.stop();
    this.#tracks = { audio: null, video: null, screen: null };
    this.#changed();
  }

  /** Opens devices together, or each one that is still wanted by itself. @param {Kind[]} kinds */
  async #open(kinds) {
    const use = this.#use;
    const both = kinds.length > 1 && (await this.#request(use, kinds));
    for (const kind of kinds) {
      if (!both && use === this.#use && use.wanted[kind]) await this.#request(use, [kind]);
      delete use.opening[kind];
    }
  }

  /** Opens devices at once. Resolves with false if one of them does not work. @param {Use} use @param {Kind[]} kinds */
  async #request(use, kinds) {
    try {
      const wanted = Object.fromEntries(kinds.map((kind) => [kind, this.#constraints[kind]]));
      this.#take(use, await navigator.mediaDevices.getUserMedia(wanted), "video");
      return true;
    } catch (error) {
      if (kinds.length === 1) this.#note(use, kinds[0], error);
      return false;
    }
  }

  /** Lets the user choose a screen. @param {Use} use */
  async #choose(use) {
    try {
      this.#take(use, await navigator.mediaDevices.getDisplayMedia({ video: true }), "screen");
      if (this.#tracks.screen) this.#tracks.screen.contentHint = "detail";
    } catch (error) {
      this.#note(use, "screen", error);
    }
  }

  /** @param {Use} use @param {MediaStream} stream @param {"video" | "screen"} picture */
  #take(use, stream, picture) {
    for (const track of stream.getTracks()) {
      const device = track.kind === "audio" ? "audio" : picture;
      if (device === "audio") track.enabled = use.wanted.audio;
      if (use === this.#use && (device === "audio" || use.wanted[device])) this.#put(device, track);
      else track.stop();
    }
  }

  /** @param {Device} device @param {MediaStreamTrack | null} track */
  #put(device, track) {
    this.#tracks[device]?.stop();
    this.#tracks[device] = track;
    delete this.troubles[device];
    // An unplugged device, or the browser's own button.
    track?.addEventListener("ended", () => this.#tracks[device] === track && this.#put(device, null));
    this.#changed();
  }

  /** @param {Use} use @param {Device} device @param {any} error */
  #note(use, device, error) {
    if (use !== this.#use || !use.wanted[device]) return;
    this.troubles[device] = navigator.mediaDevices ? (TROUBLES[error?.name] ?? "busy") : "unavailable";
    this.#changed();
  }
}
