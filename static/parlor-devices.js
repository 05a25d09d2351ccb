/**
 * The camera, the microphone and the screen of a party.
 *
 * @import { Kind, Sends } from "./parlor-peer.js"
 *
 * @typedef {"missing" | "refused" | "busy" | "unavailable"} DeviceTrouble The reason for a device that does not work: there is none, the
 *   user or the browser refuses it, another program or a fault keeps it, or the browser has devices on HTTPS only.
 * @typedef {{ audio?: DeviceTrouble, video?: DeviceTrouble, screen?: DeviceTrouble }} Troubles
 * @typedef {{ audio?: MediaTrackConstraints, video?: MediaTrackConstraints }} Constraints
 * @typedef {{ audio?: boolean, video?: boolean }} Wanted
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

/** The tracks of a party, while it is in a call. */
export class Devices {
  /** The devices that were wanted and do not work. @type {Troubles} */
  troubles = {};

  #constraints;
  #changed;
  /** @type {Record<"audio" | "camera" | "screen", MediaStreamTrack | null>} */
  #tracks = { audio: null, camera: null, screen: null };
  /** The present use: the devices of an earlier one that open late are closed. */
  #use = {};

  /** @param {Constraints} constraints @param {() => void} changed called after each change */
  constructor(constraints, changed) {
    this.#constraints = { ...CONSTRAINTS, ...constraints };
    this.#changed = changed;
  }

  /** The tracks to send: the screen goes before the camera. @returns {Record<Kind, MediaStreamTrack | null>} */
  get tracks() {
    return { audio: this.#tracks.audio, video: this.#tracks.screen ?? this.#tracks.camera };
  }

  /** @returns {Sends} */
  get sends() {
    const { audio, video } = this.tracks;
    return { audio: audio?.enabled === true, video: video !== null, screen: this.#tracks.screen !== null };
  }

  /** Opens devices; resolves when each of them works or is in `troubles`. @param {Wanted} wanted */
  async open(wanted) {
    const kinds = /** @type {Kind[]} */ (["audio", "video"]).filter((kind) => wanted[kind]);
    if (kinds.length === 0) return;
    const both = kinds.length > 1 && (await this.#request(kinds));
    if (!both) for (const kind of kinds) await this.#request([kind]);
  }

  /** Mutes the microphone, which stays open, or opens it. @param {boolean} on */
  async mute(on) {
    const { audio } = this.#tracks;
    if (!audio) return on ? undefined : this.open({ audio: true });
    audio.enabled = !on;
    this.#changed();
  }

  /** Opens or closes the camera. @param {boolean} on */
  async camera(on) {
    if (on && !this.#tracks.camera) return this.open({ video: true });
    if (!on) this.#put("camera", null);
  }

  /** Shares a screen that the user chooses, or stops that. @param {boolean} on */
  async shareScreen(on) {
    if (!on) return this.#put("screen", null);
    const use = this.#use;
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
      this.#take(use, stream, "screen");
      if (this.#tracks.screen) this.#tracks.screen.contentHint = "detail";
    } catch (error) {
      this.#note("screen", error);
    }
  }

  /** Closes all devices. */
  close() {
    this.#use = {};
    this.troubles = {};
    for (const track of Object.values(this.#tracks)) track?.stop();
    this.#tracks = { audio: null, camera: null, screen: null };
    this.#changed();
  }

  /** Opens devices at once. Resolves with false if one of them does not work. @param {Kind[]} kinds */
  async #request(kinds) {
    const use = this.#use;
    try {
      const wanted = Object.fromEntries(kinds.map((kind) => [kind, this.#constraints[kind]]));
      this.#take(use, await navigator.mediaDevices.getUserMedia(wanted), "camera");
      return true;
    } catch (error) {
      if (kinds.length === 1 && use === this.#use) this.#note(kinds[0], error);
      return false;
    }
  }

  /** @param {object} use @param {MediaStream} stream @param {"camera" | "screen"} picture */
  #take(use, stream, picture) {
    for (const track of stream.getTracks()) {
      if (use === this.#use) this.#put(track.kind === "audio" ? "audio" : picture, track);
      else track.stop();
    }
  }

  /** @param {"audio" | "camera" | "screen"} place @param {MediaStreamTrack | null} track */
  #put(place, track) {
    this.#tracks[place]?.stop();
    this.#tracks[place] = track;
    delete this.troubles[place === "camera" ? "video" : place];
    // An unplugged device, or the browser's own button.
    track?.addEventListener("ended", () => this.#tracks[place] === track && this.#put(place, null));
    this.#changed();
  }

  /** @param {keyof Troubles} device @param {any} error */
  #note(device, error) {
    this.troubles[device] = navigator.mediaDevices ? (TROUBLES[error?.name] ?? "busy") : "unavailable";
    this.#changed();
  }
}
