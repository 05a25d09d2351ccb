/** A scrolled list that follows its end, unless the reader has gone up to read, and asks for more at its beginning. */

/** So near its end, in pixels, the list counts as read to the end. */
const END_PX = 48;
/** So far before its beginning, in pixels, older messages are asked for. */
const AHEAD_PX = 300;

export class Scroller {
  /** Whether the newest message is in view. */
  atEnd = true;

  #element;
  #beginning;
  #near;

  /**
   * @param {HTMLElement} scrolled
   * @param {HTMLElement} beginning asked for older messages when it comes near
   * @param {{ moved: () => void, nearBeginning: () => void }} listeners
   */
  constructor(scrolled, beginning, { moved, nearBeginning }) {
    this.#element = scrolled;
    this.#beginning = beginning;
    scrolled.addEventListener("scroll", () => {
      this.atEnd = scrolled.scrollHeight - scrolled.scrollTop - scrolled.clientHeight < END_PX;
      moved();
    });
    // The keyboard of a phone, or a longer message box, makes the list smaller.
    new ResizeObserver(() => this.follow()).observe(scrolled);
    this.#near = new IntersectionObserver(([entry]) => entry.isIntersecting && nearBeginning(), {
      root: scrolled,
      rootMargin: `${AHEAD_PX}px 0px 0px`,
    });
    this.#near.observe(beginning);
  }

  /** Shows the end, if it was shown before. */
  follow() {
    if (this.atEnd) this.toEnd();
  }

  toEnd() {
    this.atEnd = true;
    this.#element.scrollTop = this.#element.scrollHeight;
  }

  /** Makes a change before what is in view, which stays in its place. @param {() => void} change */
  keep(change) {
    const fromEnd = this.#element.scrollHeight - this.#element.scrollTop;
    change();
    this.#element.scrollTop = this.#element.scrollHeight - fromEnd;
    // It tells changes only, but the beginning may still be near.
    this.#near.unobserve(this.#beginning);
    this.#near.observe(this.#beginning);
  }
}
