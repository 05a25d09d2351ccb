/** Measurements of a media connection. */

/**
 * @typedef {object} PeerStats Since the reading before.
 * @property {number} up bits per second sent
 * @property {number} down bits per second received
 * @property {number} loss the share of the party's packets that were lost, from 0 to 1
 * @property {number | null} roundTripMs milliseconds to the party and back
 * @property {boolean} relayed true if a TURN server relays the media
 * @property {number} width of the received video, in pixels
 * @property {number} height of the received video, in pixels
 * @property {number} framesPerSecond of the received video
 */

/** Counters of one connection. */
export class Meter {
  #before = { at: 0, sent: 0, received: 0, packets: 0, lost: 0 };

  /** Reads what `RTCPeerConnection.getStats` returns. @param {RTCStatsReport} report @returns {PeerStats} */
  read(report) {
    const all = /** @type {any[]} */ ([...report.values()]);
    const sum = (/** @type {string} */ type, /** @type {string} */ field) =>
      all.reduce((total, entry) => total + (entry.type === type ? (entry[field] ?? 0) : 0), 0);
    const now = {
      at: all[0]?.timestamp ?? 0,
      sent: sum("outbound-rtp", "bytesSent"),
      received: sum("inbound-rtp", "bytesReceived"),
      packets: sum("inbound-rtp", "packetsReceived"),
      lost: sum("inbound-rtp", "packetsLost"),
    };
    const { at, sent, received, packets, lost } = this.#before;
    this.#before = now;
    const seconds = (now.at - at) / 1_000;
    const perSecond = (/** @type {number} */ bytes) => (at > 0 && seconds > 0 ? (8 * bytes) / seconds : 0);
    const missing = Math.max(now.lost - lost, 0);
    const transport = all.find(({ type }) => type === "transport");
    const pair = all.find(({ id, type, nominated, state }) =>
      transport?.selectedCandidatePairId ? id === transport.selectedCandidatePairId : type === "candidate-pair" && nominated && state === "succeeded",
    );
    const video = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
    return {
      up: perSecond(now.sent - sent),
      down: perSecond(now.received - received),
      loss: missing / Math.max(missing + now.packets - packets, 1),
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : 1_000 * pair.currentRoundTripTime,
      relayed: report.get(pair?.localCandidateId)?.candidateType === "relay",
      width: video?.frameWidth ?? 0,
      height: video?.frameHeight ?? 0,
      framesPerSecond: video?.framesPerSecond ?? 0,
    };
  }
}
