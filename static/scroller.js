/** A scrolled list that follows its end, unless the reader has gone up to read, and asks for more at its beginning. */

/** So near its end, in pixels, the list follows again when the reader comes down. */
const END_PX = 48;
/** So far before its beginning, in pixels, older messages are asked for. */
const AHEAD_PX = 300;
/** Positions may be fractions of a pixel. */
const FRACTION_PX = 1;
/** Keys that scroll up. */
const UPWARD_KEYS = ["ArrowUp", "PageUp", "Home"];

export class Scroller {
  /** Whether the list follows its end: until the reader moves up, and again once the reader is back. */
  following = true;

  #element;
  #beginning;
  #near;
  #moved;
  #asideHeight;
  /** Where the list was seen last. */
  #top = 0;

  /**
   * @param {HTMLElement} scrolled
   * @param {HTMLElement} beginning asked for older messages when it comes near
   * @param {object} owner
   * @param {() => void} owner.moved called when the reader has moved
   * @param {() => void} owner.nearBeginning called when older messages are to be loaded
   * @param {() => number} owner.asideHeight how much of the list's end, in pixels, is not what the reader follows
   */
  constructor(scrolled, beginning, { moved, nearBeginning, asideHeight }) {
    this.#element = scrolled;
    this.#beginning = beginning;
    this.#moved = moved;
    this.#asideHeight = asideHeight;
    scrolled.addEventListener("scroll", () => this.#look());
    // Both come before the list moves: a browser may move it step by step, and a message must not stop that.
    scrolled.addEventListener("wheel", ({ deltaY, ctrlKey }) => deltaY < 0 && !ctrlKey && this.#goUp(), { passive: true });
    scrolled.addEventListener("keydown", ({ key, shiftKey }) => {
      if (UPWARD_KEYS.includes(key) || (key === " " && shiftKey)) this.#goUp();
    });
    // The keyboard of a phone, or a longer message box, makes the list smaller.
    new ResizeObserver(() => this.follow()).observe(scrolled);
    this.#near = new IntersectionObserver(([entry]) => entry.isIntersecting && nearBeginning(), {
      root: scrolled,
      rootMargin: `${AHEAD_PX}px 0px 0px`,
    });
    this.#near.observe(beginning);
  }

  /** Whether the newest message is in view. */
  get atEnd() {
    return this.following || this.#fromEnd() < END_PX;
  }

  /** Shows the end, if it was shown before. */
  follow() {
    this.#look();
    if (this.following) this.toEnd();
  }

  /** Shows the newest message, and as much of what comes after it as half of the view holds. */
  toEnd() {
    this.following = true;
    this.#goTo(this.#end());
  }

  /** Shows the last of what there is, if the end was shown before. */
  toBottom() {
    this.#look();
    if (this.following) this.#goTo(this.#element.scrollHeight);
  }

  /** Makes a change before what is in view, which stays in its place. @param {() => void} change */
  keep(change) {
    const fromEnd = this.#element.scrollHeight - this.#element.scrollTop;
    change();
    this.#goTo(this.#element.scrollHeight - fromEnd);
    // It tells changes only, but the beginning may still be near.
    this.#near.unobserve(this.#beginning);
    this.#near.observe(this.#beginning);
  }

  #end() {
    const { scrollHeight, clientHeight } = this.#element;
    return scrollHeight - clientHeight - Math.max(this.#asideHeight() - clientHeight / 2, 0);
  }

  #fromEnd() {
    return this.#end() - this.#element.scrollTop;
  }

  /** @param {number} top */
  #goTo(top) {
    this.#element.scrollTop = top;
    this.#top = this.#element.scrollTop;
  }

  #goUp() {
    if (this.#element.scrollTop <= 0 || !this.following) return;
    this.following = false;
    this.#moved();
  }

  /** Sees where the reader has moved. At the end, a list that has become shorter moves by itself. */
  #look() {
    const { scrollTop } = this.#element;
    const [up, down] = [scrollTop < this.#top, scrollTop > this.#top];
    this.#top = scrollTop;
    if (up) this.following &&= this.#fromEnd() <= FRACTION_PX;
    else if (down) this.following ||= this.#fromEnd() < END_PX;
    this.#moved();
  }
}
