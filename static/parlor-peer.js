/**
 * The media connection of two parties of a call.
 *
 * Each side has an id, new for each connection, and every signal names both: a side that was reloaded is recognised, and nothing of an
 * earlier connection is taken for the present one. The side with the smaller party id is impolite: it makes the first offer, and its
 * offers win (https://w3c.github.io/webrtc-pc/#perfect-negotiation-example).
 *
 * @typedef {"audio" | "video"} Kind
 * @typedef {{ audio: boolean, video: boolean, screen: boolean }} Sends The media that a party sends; `screen`: the video is a screen.
 *
 * @typedef {object} PeerSignal The data of a signal; only the ids and `sends`: a greeting.
 * @property {string} from the sender's side
 * @property {string} to the receiver's side; empty: not known yet
 * @property {Sends} [sends]
 * @property {RTCSessionDescriptionInit} [description]
 * @property {number | undefined} [offer] the number of the described offer, or of the answered one
 * @property {RTCIceCandidateInit[]} [candidates]
 *
 * @typedef {object} Link A peer's surroundings.
 * @property {boolean} polite
 * @property {(data: PeerSignal) => boolean} send returns false while nothing can be sent
 * @property {() => Promise<void>} refresh asks for fresh servers
 * @property {() => RTCConfiguration} configuration with the present servers
 * @property {() => { sends: Sends, tracks: Record<Kind, MediaStreamTrack | null> }} media the media to send
 * @property {() => void} changed called after each change of a field
 * @property {(error: unknown) => void} failed called after each failed step
 */

import { newId } from "./parlor-outbox.js";
import { Meter } from "./parlor-stats.js";

/** Candidates found within this time go in one signal. */
const BATCH_MS = 100;
/** The pause between greetings of a party that does not answer. */
const GREETING_MS = 2_000;
/** The time for an answer, after which the offer is sent again. */
const ANSWER_MS = 5_000;
/** The time for a connection, after which there is another attempt. */
const CONNECT_MS = 7_000;
/** The time for which a broken path may heal by itself. */
const LOST_MS = 3_000;
/** The time that the polite side gives the other one to begin. */
const TURN_MS = 1_500;
/** Each such attempt makes a new connection, and the others restart ICE. */
const RENEWING_ATTEMPT = 3;
/** The most candidates kept for a description that is not there yet. */
const MOST_KEPT = 256;
/** The most earlier sides remembered. */
const MOST_PAST = 32;
/** The video sent to all parties together, in bits per second. */
const UPLINK = 3_000_000;
/** Divisors of the picture's size, by the number of parties; the last one counts for more. A screen stays legible. */
const SCALES = [1, 1, 1.5, 1.5, 2];
/** @type {Kind[]} */
const KINDS = ["audio", "video"];

export class Peer {
  /** The media of the party. */
  stream = new MediaStream();
  /** The connection's state; `lost`: it was there, and is being restored. @type {"connecting" | "connected" | "lost"} */
  path = "connecting";
  /** The media that the party sends, as it says. @type {Sends} */
  sends = { audio: false, video: false, screen: false };

  #link;
  /** Its id tells the party that the tracks belong together. */
  #sent = new MediaStream();
  #id = newId();
  #their = "";
  /** The earlier sides of the party: late signals come from them. @type {Set<string>} */
  #past = new Set();
  #connection = /** @type {RTCPeerConnection | null} */ (null);
  /** Resolves once the present connection is closed. */
  #closing = Promise.resolve();
  #tellClosing = () => {};
  /** @type {Partial<Record<Kind, RTCRtpSender>>} */
  #senders = {};
  /** The number of the newest offer of this side. */
  #offer = 0;
  #offering = false;
  #ignoring = false;
  /** Signals take effect one after another. */
  #work = Promise.resolve();
  /** @type {RTCIceCandidateInit[]} */
  #outgoing = [];
  /** @type {RTCIceCandidateInit[]} */
  #incoming = [];
  #meter = new Meter();
  #attempts = 0;
  #broken = false;
  #closed = false;
  /** @type {Partial<Record<"batch" | "answer" | "recovery", ReturnType<typeof setTimeout>>>} */
  #timers = {};

  /** @param {string} userId @param {Link} link */
  constructor(userId, link) {
    this.userId = userId;
    this.#link = link;
    this.greet();
    this.#recoverIn(GREETING_MS);
  }

  /** Takes a signal of the party. @param {PeerSignal} signal */
  take(signal) {
    this.#work = this.#work.then(() => (this.#closed ? undefined : this.#take(signal))).catch((error) => this.#break(error));
  }

  /** Tells the party of this side, and of the media that it sends. Returns false while nothing can be sent. */
  greet() {
    return this.#send({ sends: this.#link.media().sends });
  }

  /** Sends the present media. */
  update() {
    this.greet();
    this.#addTracks();
    this.#link.changed();
  }

  /** Repeats what may be lost, after this client or its connection to the server was away. */
  resume() {
    this.greet();
    this.#repeatOffer();
    this.#flush();
    if (this.path !== "connected") this.#recoverIn(0);
  }

  /** Takes a new configuration. */
  configure() {
    this.#connection?.setConfiguration(this.#link.configuration());
  }

  /** Limits the video to a share of the uplink. @param {number} count the number of parties that share it */
  async share(count) {
    const maxBitrate = Math.floor(UPLINK / count);
    const scale = this.#link.media().sends.screen ? 1 : SCALES[Math.min(count, SCALES.length - 1)];
    const sender = this.#senders.video;
    const parameters = sender?.getParameters();
    const [encoding] = parameters?.encodings ?? [];
    if (!parameters || !encoding) return;
    if (encoding.maxBitrate === maxBitrate && encoding.scaleResolutionDownBy === scale) return;
    Object.assign(encoding, { maxBitrate, scaleResolutionDownBy: scale });
    // A connection that is being negotiated takes none; it gets them once it stands.
    await sender?.setParameters(parameters).catch(() => {});
  }

  /** Measures the connection since the call before. */
  async stats() {
    return this.#connection ? this.#meter.read(await this.#connection.getStats()) : null;
  }

  close() {
    this.#closed = true;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#closeConnection();
    this.#connection = null;
  }

  /** @param {PeerSignal} signal */
  async #take({ from, to, sends, description, offer, candidates }) {
    if (this.#past.has(from)) return;
    const isNew = from !== this.#their;
    if (isNew) this.#bind(from);
    if (sends) {
      this.sends = { audio: sends.audio === true, video: sends.video === true, screen: sends.screen === true };
      this.#link.changed();
    }
    // It is for an earlier side of this party. The sender learns of the present one.
    if (to !== this.#id) return candidates ? undefined : void this.greet();
    if (description) await this.#describe(description, offer);
    else if (candidates) this.#incoming = [...this.#incoming, ...candidates].slice(-MOST_KEPT);
    else if (!isNew) this.#repeatOffer();
    await this.#addCandidates();
  }

  /** Begins with a new side of the party. @param {string} from */
  #bind(from) {
    if (this.#their) this.#past.add(this.#their);
    if (this.#past.size > MOST_PAST) this.#past.delete([...this.#past][0]);
    this.#their = from;
    this.#open();
  }

  #open() {
    this.#closeConnection();
    const connection = new RTCPeerConnection(this.#link.configuration());
    this.#connection = connection;
    this.#closing = new Promise((resolve) => (this.#tellClosing = resolve));
    Object.assign(this, { stream: new MediaStream(), path: "connecting" });
    [this.#senders, this.#outgoing, this.#incoming, this.#meter] = [{}, [], [], new Meter()];
    [this.#offering, this.#broken] = [false, false];
    connection.addEventListener("negotiationneeded", () => this.#negotiate(connection));
    connection.addEventListener("icecandidate", ({ candidate }) => candidate && this.#batch(connection, candidate));
    connection.addEventListener("connectionstatechange", () => this.#follow(connection));
    connection.addEventListener("track", ({ track }) => {
      if (connection !== this.#connection) return;
      this.stream.addTrack(track);
      this.#link.changed();
    });
    if (!this.#link.polite) {
      this.#addTracks();
      for (const kind of KINDS) if (!this.#senders[kind]) connection.addTransceiver(kind, { direction: "recvonly" });
    }
    this.#recoverIn(CONNECT_MS);
    this.#link.changed();
  }

  #closeConnection() {
    this.#tellClosing();
    this.#connection?.close();
  }

  /**
   * Waits for a step of the present connection, or until that is closed: the steps of a closed one never settle
   * (https://www.w3.org/TR/webrtc/#chain-an-asynchronous-operation).
   * @param {Promise<void>} step
   */
  #settled(step) {
    return Promise.race([step, this.#closing]);
  }

  /** True while the polite side waits for the first offer, into which it puts its media. */
  get #waits() {
    return !this.#connection || (this.#link.polite && !this.#connection.remoteDescription);
  }

  #addTracks() {
    const connection = this.#connection;
    if (this.#waits || !connection) return;
    const { tracks } = this.#link.media();
    for (const kind of KINDS) {
      const [sender, track] = [this.#senders[kind], tracks[kind]];
      if (sender && sender.track !== track) sender.replaceTrack(track).catch((error) => this.#break(error, connection));
      // Tracks of one stream are played in step.
      else if (!sender && track) this.#senders[kind] = connection.addTrack(track, this.#sent);
    }
  }

  /** @param {RTCPeerConnection} connection */
  async #negotiate(connection) {
    if (connection !== this.#connection || this.#waits) return;
    this.#offering = true;
    this.#offer += 1;
    try {
      await connection.setLocalDescription();
    } catch (error) {
      this.#break(error, connection);
    }
    if (connection !== this.#connection) return;
    this.#offering = false;
    this.#repeatOffer();
  }

  /** Sends the offer that has no answer, if there is one, until there is. */
  #repeatOffer() {
    clearTimeout(this.#timers.answer);
    const connection = this.#connection;
    if (connection?.signalingState !== "have-local-offer" || !connection.localDescription || this.#offering) return;
    this.#send({ description: connection.localDescription.toJSON(), offer: this.#offer });
    this.#timers.answer = setTimeout(() => this.#repeatOffer(), ANSWER_MS);
  }

  /** @param {RTCSessionDescriptionInit} description @param {number | undefined} offer */
  async #describe(description, offer) {
    const connection = this.#connection;
    if (!connection) return;
    const isOffer = description.type === "offer";
    const collides = isOffer && (this.#offering || connection.signalingState !== "stable");
    this.#ignoring = collides && !this.#link.polite;
    const isLate = !isOffer && (offer !== this.#offer || connection.signalingState !== "have-local-offer");
    if (this.#ignoring || isLate) return;
    await this.#settled(connection.setRemoteDescription(description));
    if (connection !== this.#connection) return;
    if (!isOffer) return clearTimeout(this.#timers.answer);
    this.#addTracks();
    await this.#settled(connection.setLocalDescription());
    const answer = connection.localDescription?.toJSON();
    if (answer && connection === this.#connection) this.#send({ description: answer, offer });
  }

  /** @param {RTCPeerConnection} connection @param {RTCIceCandidate} candidate */
  #batch(connection, candidate) {
    if (connection !== this.#connection) return;
    this.#outgoing.push(candidate.toJSON());
    if (this.#outgoing.length === 1) this.#timers.batch = setTimeout(() => this.#flush(), BATCH_MS);
  }

  #flush() {
    if (this.#outgoing.length > 0 && this.#send({ candidates: this.#outgoing })) this.#outgoing = [];
  }

  /** Adds the candidates whose description is there, and keeps the others. */
  async #addCandidates() {
    const connection = this.#connection;
    if (!connection?.remoteDescription) return;
    const { sdp } = connection.remoteDescription;
    const fits = (/** @type {RTCIceCandidateInit} */ { usernameFragment: name }) => !name || sdp.includes(`a=ice-ufrag:${name}\r\n`);
    const fitting = this.#incoming.filter(fits);
    this.#incoming = this.#incoming.filter((candidate) => !fits(candidate));
    for (const candidate of fitting) {
      try {
        await this.#settled(connection.addIceCandidate(candidate));
      } catch (error) {
        // Candidates of an ignored offer fit nothing.
        if (!this.#ignoring) this.#link.failed(error);
      }
      if (connection !== this.#connection) return;
    }
  }

  /** @param {RTCPeerConnection} connection */
  #follow(connection) {
    if (connection !== this.#connection) return;
    const { connectionState: state } = connection;
    if (state === "connected") {
      clearTimeout(this.#timers.recovery);
      this.#attempts = 0;
      this.path = "connected";
    } else if (state === "disconnected" || state === "failed") {
      this.path = this.path === "connecting" ? "connecting" : "lost";
      this.#recoverIn(state === "failed" && this.#attempts === 0 ? 0 : LOST_MS);
    }
    this.#link.changed();
  }

  /** Plans another attempt to connect. The impolite side goes first: one offer is enough. @param {number} delay milliseconds */
  #recoverIn(delay) {
    clearTimeout(this.#timers.recovery);
    const turn = this.#link.polite ? TURN_MS : 0;
    if (!this.#closed) this.#timers.recovery = setTimeout(() => this.#recover(), delay + turn);
  }

  /** Tries again to connect. */
  async #recover() {
    const connection = this.#connection;
    const isHeard = this.greet();
    if (!isHeard || this.#waits || !connection) return this.#recoverIn(GREETING_MS);
    await this.#link.refresh();
    const isWell = connection.connectionState === "connected" && !this.#broken;
    if (connection !== this.#connection || isWell) return;
    this.#attempts += 1;
    if (this.#broken || this.#attempts % RENEWING_ATTEMPT === 0) return this.#renew();
    connection.setConfiguration(this.#link.configuration());
    const isStable = connection.signalingState === "stable";
    if (isStable) connection.restartIce();
    else this.#repeatOffer();
    this.#recoverIn(isStable ? CONNECT_MS : GREETING_MS);
  }

  /** Makes a new connection, on both sides. */
  #renew() {
    this.#id = newId();
    this.#open();
    this.greet();
  }

  /** Plans a new connection after a failed step of the present one. @param {unknown} error @param {RTCPeerConnection | null} [connection] */
  #break(error, connection = this.#connection) {
    if (this.#closed || connection !== this.#connection) return;
    this.#link.failed(error);
    this.#broken = true;
    this.#recoverIn(LOST_MS);
  }

  /** @param {Omit<PeerSignal, "from" | "to">} data */
  #send(data) {
    return this.#link.send({ from: this.#id, to: this.#their, ...data });
  }
}
