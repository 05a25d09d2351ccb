/** Reads again and again, while the tab is seen. */

/** The time between two reads. */
const INTERVAL_MS = 2_000;
/** The longest time between two reads of a server that refuses or does not answer. */
const MAX_INTERVAL_MS = 16_000;

/** A repeated read, one at a time. */
export class Poll {
  #read;
  #isReading = false;
  #isAskedAgain = false;
  #interval = INTERVAL_MS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {() => Promise<number | null>} read resolves with null, or after a failure with the least wait in milliseconds */
  constructor(read) {
    this.#read = read;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) clearTimeout(this.#timer);
      else this.now();
    });
  }

  /** Reads at once, or as soon as the present read is over. */
  async now() {
    clearTimeout(this.#timer);
    if (this.#isReading) {
      this.#isAskedAgain = true;
      return;
    }
    this.#isReading = true;
    const wait = await this.#read();
    this.#isReading = false;
    this.#interval = wait === null ? INTERVAL_MS : Math.max(wait, Math.min(2 * this.#interval, MAX_INTERVAL_MS));
    if (document.hidden) return;
    const isAsked = this.#isAskedAgain && wait === null;
    this.#isAskedAgain = false;
    this.#timer = setTimeout(() => this.now(), isAsked ? 0 : this.#interval);
  }
}
