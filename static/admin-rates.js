/** Rates, worked out from counters that only grow, and the course of figures over the last minutes. */

/** The polls that a rate looks back: about 20 seconds. */
const WINDOW = 10;
/** The polls in a line: two minutes. */
const COURSE = 60;
const SVG = "http://www.w3.org/2000/svg";

/** The rates of counters by name. */
export class Rates {
  /** @type {Map<string, { at: number, value: number }[]>} */
  #seen = new Map();

  /**
   * Notes the present counters, and forgets those that are gone.
   * @param {number} at in milliseconds
   * @param {[string, number][]} counters
   */
  note(at, counters) {
    const names = new Set(counters.map(([name]) => name));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    for (const [name, value] of counters) {
      const known = this.#seen.get(name) ?? [];
      if (known.at(-1)?.at === at) continue;
      // A counter that went back began anew.
      const seen = value < (known.at(-1)?.value ?? 0) ? [] : known;
      this.#seen.set(name, [...seen, { at, value }].slice(-WINDOW - 1));
    }
  }

  /** Returns a counter's growth in a second. @param {string} name */
  of(name) {
    const seen = this.#seen.get(name) ?? [];
    const [first, last] = [seen[0], seen.at(-1)];
    if (!first || !last || first.at === last.at) return 0;
    return ((last.value - first.value) * 1000) / (last.at - first.at);
  }
}

/** The course of a figure. */
export class Course {
  /** @type {number[]} */
  #values = [];

  /** @param {number} value */
  note(value) {
    this.#values = [...this.#values, value].slice(-COURSE);
  }

  /** Draws it as a line, from the left to now. */
  line() {
    const [width, height] = [120, 28];
    const largest = Math.max(1, ...this.#values);
    const points = this.#values.map((value, place) => {
      const x = ((COURSE - this.#values.length + place) * width) / (COURSE - 1);
      return `${x.toFixed(1)},${(height - 2 - (value / largest) * (height - 4)).toFixed(1)}`;
    });
    const made = document.createElementNS(SVG, "svg");
    made.setAttribute("viewBox", `0 0 ${width} ${height}`);
    made.setAttribute("preserveAspectRatio", "none");
    made.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("points", points.join(" "));
    made.append(line);
    return made;
  }
}
