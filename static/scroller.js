/** A scrolled list: it follows its end until the reader scrolls up, and loads older messages near its beginning. */

/** The distance from the end, in pixels, at which the list follows again when the reader scrolls down. */
const END_PX = 48;
/** The distance from the beginning, in pixels, at which older messages are requested. */
const AHEAD_PX = 300;
/** Positions may be fractions of a pixel. */
const FRACTION_PX = 1;
/** Keys that scroll up. */
const UPWARD_KEYS = ["ArrowUp", "PageUp", "Home"];

export class Scroller {
  /** True while the list follows its end: until the reader scrolls up, and again on return. */
  following = true;

  #element;
  #beginning;
  #near;
  #moved;
  #asideHeight;
  /** The last seen position. */
  #top = 0;

  /**
   * @param {HTMLElement} scrolled
   * @param {HTMLElement} beginning requests older messages when it comes near
   * @param {object} owner
   * @param {() => void} owner.moved called after the reader has scrolled
   * @param {() => void} owner.nearBeginning called when older messages are to be loaded
   * @param {() => number} owner.asideHeight pixels at the list's end to ignore when following
   */
  constructor(scrolled, beginning, { moved, nearBeginning, asideHeight }) {
    this.#element = scrolled;
    this.#beginning = beginning;
    this.#moved = moved;
    this.#asideHeight = asideHeight;
    scrolled.addEventListener("scroll", () => this.#noticeScroll());
    // Both precede the scrolling: a browser may animate it, and a new message must not interrupt that.
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

  /** True while the newest message is in view. */
  get atEnd() {
    return this.following || this.#fromEnd() < END_PX;
  }

  /** Shows the end, unless the reader has scrolled up. */
  follow() {
    this.#noticeScroll();
    if (this.following) this.toEnd();
  }

  /** Shows the newest message, and after it at most half a view of failed messages. */
  toEnd() {
    this.following = true;
    this.#goTo(this.#end());
  }

  /** Shows the very bottom, unless the reader has scrolled up. */
  toBottom() {
    this.#noticeScroll();
    if (this.following) this.#goTo(this.#element.scrollHeight);
  }

  /** Applies a change above the view, and keeps the view in place. @param {() => void} change */
  keep(change) {
    const fromEnd = this.#element.scrollHeight - this.#element.scrollTop;
    change();
    this.#goTo(this.#element.scrollHeight - fromEnd);
    // An observer reports changes only, but the beginning may still be near.
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

  /** Notices the reader's scrolling. A list that became shorter also moves, by itself, but stays at its end. */
  #noticeScroll() {
    const { scrollTop } = this.#element;
    const [up, down] = [scrollTop < this.#top, scrollTop > this.#top];
    this.#top = scrollTop;
    if (up) this.following &&= this.#fromEnd() <= FRACTION_PX;
    else if (down) this.following ||= this.#fromEnd() < END_PX;
    this.#moved();
  }
}
