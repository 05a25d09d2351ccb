/**
 * The servers that help the parties of a call to find a path to each other (STUN, TURN). Their credentials live for some hours.
 *
 * @import { IceServers } from "./parlor.js"
 */

/** Servers as new as this are fresh. */
const FRESH_MS = 10_000;
/** The longest wait for an answer: a call without servers often succeeds. */
const ANSWER_MS = 3_000;
/** The least pause before a renewal, whatever the local clock says; and the pause after a refusal that names none. */
const RENEWAL_MS = 60_000;

export class Servers {
  /** @type {RTCIceServer[]} */
  list = [];

  #ask;
  #changed;
  #askedAt = -Infinity;
  #asking = /** @type {Promise<void> | null} */ (null);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  #closed = false;

  /** @param {() => Promise<IceServers>} ask @param {(error?: unknown) => void} changed called after each answer */
  constructor(ask, changed) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** Asks for servers, unless the present ones are fresh; and again at half of their life, or after a refusal. Resolves in any case. */
  async refresh() {
    if (this.#asking === null && Date.now() - this.#askedAt >= FRESH_MS) this.#asking = this.#renew();
    if (this.#asking) await Promise.race([this.#asking, new Promise((resolve) => setTimeout(resolve, ANSWER_MS))]);
  }

  /** Asks for no more. */
  close() {
    this.#closed = true;
    clearTimeout(this.#renewal);
  }

  async #renew() {
    try {
      const { iceServers, expiresAt } = await this.#ask();
      if (this.#closed) return;
      this.list = iceServers;
      const half = expiresAt ? (Date.parse(expiresAt) - Date.now()) / 2 : Infinity;
      this.#renewIn(Math.max(half, RENEWAL_MS));
      this.#changed();
    } catch (/** @type {any} */ error) {
      if (this.#closed) return;
      this.#renewIn(Math.max(error?.retryAfterMs ?? RENEWAL_MS, FRESH_MS));
      this.#changed(error);
    } finally {
      [this.#askedAt, this.#asking] = [Date.now(), null];
    }
  }

  /** Plans the next request; there is none after an infinite pause. @param {number} pause milliseconds */
  #renewIn(pause) {
    clearTimeout(this.#renewal);
    if (pause < Infinity) this.#renewal = setTimeout(() => this.refresh(), pause);
  }
}
