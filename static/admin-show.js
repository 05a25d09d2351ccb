/** Lists and tables that change in place: a row whose data is the same keeps its elements, and so focus and selection. */

import { element, isolated } from "./text.js";

/** The data that the rows of a list show. @type {WeakMap<Element, { key: string, data: string }>} */
const shown = new WeakMap();

const relative = new Intl.RelativeTimeFormat([], { numeric: "always", style: "short" });
const number = new Intl.NumberFormat();

/**
 * Shows items as the children of an element.
 * @template Item
 * @param {Element} list
 * @param {Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => Element} make
 */
export function fill(list, items, keyOf, make) {
  const before = new Map(Array.from(list.children, (row) => [shown.get(row)?.key, row]));
  const rows = items.map((item) => {
    const [key, data] = [keyOf(item), JSON.stringify(item)];
    const old = before.get(key);
    if (old && shown.get(old)?.data === data) return old;
    const row = make(item);
    shown.set(row, { key, data });
    const focused = old ? controlsOf(old).findIndex((control) => control === document.activeElement) : -1;
    if (focused >= 0) queueMicrotask(() => controlsOf(row)[focused]?.focus({ preventScroll: true }));
    return row;
  });
  if (rows.length !== list.children.length || rows.some((row, place) => row !== list.children[place])) arrange(list, rows);
}

/** Puts rows in order, and moves none without need: a moved one would lose the focus. @param {Element} list @param {Element[]} rows */
function arrange(list, rows) {
  const kept = new Set(rows);
  for (const row of Array.from(list.children)) if (!kept.has(row)) row.remove();
  rows.forEach((row, place) => {
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
}

/** @param {Element} row @returns {HTMLElement[]} */
const controlsOf = (row) => Array.from(row.querySelectorAll("a, button"));

/**
 * Makes a row of a table; `labels` name the cells where the table is shown as cards.
 * @param {HTMLTableElement} table
 * @param {(Node | string)[]} cells
 */
export function row(table, cells) {
  const heads = Array.from(table.tHead?.rows[0].cells ?? []);
  const made = document.createElement("tr");
  cells.forEach((content, place) => {
    const cell = element(place === 0 ? "th" : "td", heads[place].className, content);
    if (cell instanceof HTMLTableCellElement && place === 0) cell.scope = "row";
    cell.dataset.label = heads[place].textContent ?? "";
    made.append(cell);
  });
  return made;
}

/** Makes a link to a room's or a user's details. @param {"room" | "user"} kind @param {string} name */
export function linkTo(kind, name) {
  const made = /** @type {HTMLAnchorElement} */ (element("a", kind, isolated(name)));
  made.href = addressOf(kind, name);
  return made;
}

/** @param {"room" | "user"} kind @param {string} name */
export const addressOf = (kind, name) => `#${new URLSearchParams({ [kind]: name })}`;

/** Makes a state: a sign in a colour, and a word. @param {"good" | "waiting" | "bad"} kind @param {string} word */
export const state = (kind, word) => element("span", `state ${kind}`, word);

/** @param {number} count */
export const count = (count) => number.format(count);

/** @param {number} rate */
export const rate = (rate) => (rate >= 10 || rate === 0 ? number.format(Math.round(rate)) : rate.toFixed(1));

/** Returns a span of time: its largest unit. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Returns the distance of a time in words. @param {string} time @param {number} now */
export function ago(time, now) {
  const seconds = Math.round((Date.parse(time) - now) / 1000);
  if (seconds > -60) return "just now";
  if (seconds > -3600) return relative.format(Math.ceil(seconds / 60), "minute");
  if (seconds > -86_400) return relative.format(Math.ceil(seconds / 3600), "hour");
  return relative.format(Math.ceil(seconds / 86_400), "day");
}
