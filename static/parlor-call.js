/**
 * Calls of a room: ringing, and audio and video between up to six parties, each connected to each ("mesh").
 *
 *     const calls = new Calls(await parlor.joinRoom("lobby"));
 *     calls.on("ring", ({ startedBy, media }) => showRinging(startedBy, media));
 *     calls.on("parties", (parties) => parties.forEach(({ userId, stream }, partyId) => showTile(partyId, userId, stream)));
 *     await calls.start({ audio: true, video: true });
 *
 * The room's state decides who rings and who is in, and nothing else does. A party comes back after a reload of its page, and after a
 * reconnect to any node, while the media go on. Without a microphone or a camera, it only listens or watches.
 *
 * @import { Call, CallChanged, CallEnd } from "./parlor.js"
 * @import { Refusal, Room } from "./parlor-client.js"
 * @import { Constraints, Wanted } from "./parlor-devices.js"
 * @import { CallState, Part } from "./parlor-party.js"
 * @import { Link, PeerSignal } from "./parlor-peer.js"
 *
 * @typedef {object} CallEvents The events of {@link Calls.on}, with their details.
 * @property {Call} ring a call rings for this user
 * @property {Call} ringEnd it does not ring any more: somebody accepted it here or elsewhere, declined it, or gave up
 * @property {CallState} state `state` or `call` has changed
 * @property {Map<string, Peer>} parties a party came or left, or its `stream`, `path` or `sends` has changed
 * @property {Calls} media `stream`, `sends` or `troubles` have changed
 * @property {{ reason: CallEnd | "hungUp" | "dropped", call: Call | null }} ended the call is over for this client; `dropped`: the
 *   server took it out
 * @property {unknown} error a failed step, for logs: it is tried again
 *
 * @typedef {object} CallOptions
 * @property {string} [partyId] this client's id in calls; when absent, each tab has one
 * @property {boolean} [mesh] false: no connections to the parties, as with an SFU (see `livekit`)
 * @property {Constraints} [constraints] of the microphone and the camera
 * @property {RTCConfiguration} [configuration] of the connections, besides the servers
 */

import { Devices } from "./parlor-devices.js";
import { newId } from "./parlor-outbox.js";
import { claimParty, stateOutside } from "./parlor-party.js";
import { Peer } from "./parlor-peer.js";
import { Servers } from "./parlor-servers.js";

/** The type of this module's signals. */
const SIGNAL = "rtc";

/** The calls of a joined room. */
export class Calls {
  /** The room's present call, or its last one. @type {Call | null} */
  call = null;
  /** @type {CallState} */
  state = "none";
  /** The other parties, while this client is in. @type {Map<string, Peer>} */
  parties = new Map();
  /** The way into an SFU's room, on servers that have one. @type {CallChanged["livekit"] | null} */
  livekit = null;
  /** This client's id in calls. */
  partyId = "";

  #room;
  #options;
  #devices;
  #events = new EventTarget();
  #part = /** @type {Part | null} */ (null);
  /** The call that this client left: the room's state may still have it in. */
  #left = "";
  #identified;

  /** @param {Room} room @param {CallOptions} [options] */
  constructor(room, options = {}) {
    this.#room = room;
    this.#options = options;
    this.#devices = new Devices(options.constraints ?? {}, () => {
      for (const peer of this.parties.values()) peer.update();
      this.#emit("media", this);
    });
    this.#identified = this.#identify(options.partyId);
    room.on("info", () => this.#look());
    room.on("state", (state) => this.#followRoom(state));
    room.on("signal", ({ type, userId, partyId, data }) => {
      const peer = type === SIGNAL && partyId ? this.parties.get(partyId) : undefined;
      // Nobody else speaks for a party.
      if (peer?.userId === userId) peer.take(/** @type {PeerSignal} */ (/** @type {unknown} */ (data)));
    });
    this.#look();
  }

  /** @template {keyof CallEvents} Name @param {Name} event @param {(detail: CallEvents[Name]) => void} listener */
  on(event, listener) {
    this.#events.addEventListener(event, (/** @type {any} */ { detail }) => listener(detail));
  }

  /** The user's own picture and sound, for a muted preview. */
  get stream() {
    return new MediaStream(Object.values(this.#devices.tracks).filter((track) => track !== null));
  }

  /** The media that this client sends. */
  get sends() {
    return this.#devices.sends;
  }

  /** The wanted devices that do not work, with the reasons. */
  get troubles() {
    return this.#devices.troubles;
  }

  /**
   * Starts a call, once the devices are open or refused; or accepts the one that rings. Rejects with a {@link Refusal}.
   * @param {Wanted & { to?: string[] }} [wanted] `to`: the users whom it rings; everybody in the room when absent
   */
  async start({ to, ...wanted } = { audio: true }) {
    try {
      await this.#enter("startCall", newId(), wanted, { media: wanted.video ? "video" : "audio", to });
    } catch (/** @type {any} */ refusal) {
      // Of two who call each other at once, one accepts the other's call.
      if (refusal.code !== "CONFLICT" || refusal.current?.state !== "ringing") throw refusal;
      await this.#enter("joinCall", refusal.current.callId, wanted);
    }
  }

  /** Accepts the present call, comes to it later, or comes back to it. Rejects with a {@link Refusal}. @param {Wanted} [wanted] */
  async join(wanted = { audio: true }) {
    await this.#enter("joinCall", this.call?.callId ?? "", wanted);
  }

  /** Declines the call that rings, on all devices of the user. */
  async reject() {
    await this.#room.ask("rejectCall", { callId: this.call?.callId });
  }

  /** Hangs up. Resolves when the server knows. */
  async leave() {
    const part = this.#part;
    if (!part) return;
    this.#end("hungUp");
    await this.#withdraw(part.callId);
  }

  /** Mutes the microphone, or opens it. @param {boolean} on */
  async mute(on) {
    if (this.#part) await this.#devices.mute(on);
  }

  /** Opens or closes the camera. @param {boolean} on */
  async camera(on) {
    if (this.#part) await this.#devices.camera(on);
  }

  /** Shares a screen instead of the camera's picture, or stops that. @param {boolean} on */
  async shareScreen(on) {
    if (this.#part) await this.#devices.shareScreen(on);
  }

  /** @param {string | undefined} partyId */
  async #identify(partyId) {
    this.partyId = partyId ?? (await claimParty());
    this.#look();
  }

  /** @param {"startCall" | "joinCall"} event @param {string} callId @param {Wanted} wanted @param {object} [more] */
  async #enter(event, callId, wanted, more) {
    if (this.#part) throw new Error("this client is in a call already");
    /** @type {Part} */
    const part = { callId, servers: this.#servers(callId), entered: false, present: false, seen: false };
    this.#part = part;
    this.#tell();
    const isOver = () => this.#part !== part;
    const opened = this.#devices.open(wanted);
    try {
      // Nobody's phone rings while the caller looks for a permission. Somebody who answers is in at once.
      if (event === "startCall") await opened;
      await this.#identified;
      if (isOver()) return;
      const answer = await this.#room.ask(event, { callId, partyId: this.partyId, ...more });
      if (isOver()) return await this.#withdraw(callId);
      this.livekit = answer.livekit ?? null;
      part.present = this.#room.state === "joined";
      if (this.#options.mesh !== false) await part.servers.refresh();
      if (isOver()) return;
      part.entered = true;
      this.#take(answer.call);
      this.#followRoom(this.#room.state);
    } catch (refusal) {
      if (!isOver()) this.#close();
      throw refusal;
    }
  }

  /** Tells the server that this client has left a call, unless it is about to be in again. @param {string} callId */
  async #withdraw(callId) {
    if (this.#part?.callId === callId) return;
    await this.#room.ask("leaveCall", { callId, partyId: this.partyId }).catch(() => {});
  }

  /** @param {string} callId */
  #servers(callId) {
    return new Servers(
      () => this.#room.ask("getIceServers", { callId }),
      (error) => (error ? this.#emit("error", error) : this.parties.forEach((peer) => peer.configure())),
    );
  }

  /** @param {Room["state"]} state */
  #followRoom(state) {
    const part = this.#part;
    if (state === "closed") this.#end("dropped");
    else if (state === "joining" && part) part.present = false;
    else if (part?.entered && !part.present) this.#comeBack(part);
    this.#look();
  }

  /** Comes back into the call on a new connection to the server. @param {Part} part */
  async #comeBack(part) {
    part.seen = false;
    try {
      const { call } = await this.#room.ask("joinCall", { callId: part.callId, partyId: this.partyId });
      // The user hung up before the server took this client in again.
      if (this.#part !== part) return await this.#withdraw(part.callId);
      if (this.#room.state !== "joined") return;
      part.present = true;
      this.#take(call);
      for (const peer of this.parties.values()) peer.resume();
    } catch {
      if (this.#part === part) this.#end("dropped");
    }
  }

  /** Looks at the room's state. One from before this client's own step does not count. */
  #look() {
    const [part, call] = [this.#part, (this.call = this.#room.info?.call ?? null)];
    if (part?.entered && call) {
      const isIn = call.parties.some(({ partyId }) => partyId === this.partyId);
      part.seen ||= isIn;
      if (call.callId === part.callId && call.state === "ended") this.#end(call.endedReason ?? "left");
      else if (part.seen && isIn) this.#take(call);
      else if (part.seen && part.present) this.#end("dropped");
    }
    this.#tell();
  }

  /** Connects to the parties of a call, and to no others. @param {Call} call */
  #take(call) {
    const others = new Map(call.parties.map(({ partyId, userId }) => [partyId, userId]));
    others.delete(this.partyId);
    for (const [partyId, peer] of this.parties) {
      if (others.get(partyId) === peer.userId) continue;
      peer.close();
      this.parties.delete(partyId);
    }
    for (const [partyId, userId] of this.#options.mesh === false ? [] : others) {
      if (!this.parties.has(partyId)) this.parties.set(partyId, new Peer(userId, this.#link(partyId)));
    }
    this.#changed();
  }

  /** @param {string} partyId @returns {Link} */
  #link(partyId) {
    return {
      polite: this.partyId > partyId,
      refresh: async () => this.#part?.servers.refresh(),
      configuration: () => ({ ...this.#options.configuration, iceServers: this.#part?.servers.list ?? [] }),
      send: (data) => {
        const isPresent = this.#part?.present === true;
        if (isPresent) this.#room.signal(SIGNAL, { ...data }, { partyId }).catch((refusal) => this.#emit("error", refusal));
        return isPresent;
      },
      media: () => this.#devices,
      changed: () => this.#changed(),
      failed: (error) => this.#emit("error", error),
    };
  }

  /** Shares the uplink among the parties, and tells of them. */
  #changed() {
    for (const peer of this.parties.values()) peer.share(this.parties.size);
    this.#emit("parties", this.parties);
  }

  /** Takes this client out of its call, and tells of it. @param {CallEvents["ended"]["reason"]} reason */
  #end(reason) {
    if (!this.#part) return;
    this.#left = this.#part.callId;
    const { call } = this;
    this.#close();
    this.#emit("ended", { reason, call });
  }

  #close() {
    for (const peer of this.parties.values()) peer.close();
    this.parties.clear();
    this.#part?.servers.close();
    [this.#part, this.livekit] = [null, null];
    this.#devices.close();
    this.#tell();
  }

  /** Tells of the state. */
  #tell() {
    const before = this.state;
    this.state = this.#part ? (this.#part.entered ? "joined" : "joining") : stateOutside(this.call, this.#room, this.partyId);
    if (this.state === "interrupted" && this.call?.callId === this.#left) this.state = "ongoing";
    if (before !== "ringing" && this.state === "ringing") this.#emit("ring", this.call);
    if (before === "ringing" && this.state !== "ringing") this.#emit("ringEnd", this.call);
    this.#emit("state", this.state);
  }

  /** @param {keyof CallEvents} event @param {unknown} detail */
  #emit(event, detail) {
    this.#events.dispatchEvent(Object.assign(new Event(event), { detail }));
  }
}
