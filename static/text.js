/**
 * Texts on the page: times, days, names, links, reasons. All are text nodes; nothing is parsed as HTML.
 *
 * @import { Words } from "./words.js"
 */

const LINK = /https?:\/\/[^\s<>"']+/g;
/** Punctuation after a link, which belongs to the sentence. */
const TRAILING = /[.,;:!?…)\]}*_~]+$/;

/** Right-to-left letters, and marks that change the direction. */
const TURNING = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Splits text into letters with their marks, if the browser can. */
const letters = "Segmenter" in Intl ? new Intl.Segmenter() : null;

/** The number of colours for users. */
const HUES = 12;

const clockFormat = new Intl.DateTimeFormat([], { timeStyle: "short" });
const dayFormat = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });
const yearFormat = new Intl.DateTimeFormat([], { dateStyle: "long" });
const relativeFormat = new Intl.RelativeTimeFormat([], { numeric: "auto" });

/** @param {Date} at */
export const clock = (at) => clockFormat.format(at);

/** Returns a day's name, seen from `now`. @param {Date} at */
export function day(at, now = new Date()) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  // Rounded, as days are an hour longer or shorter twice a year.
  const days = Math.round((new Date(at).setHours(0, 0, 0, 0) - midnight) / 86_400_000);
  if (days === 0 || days === -1) return capitalized(relativeFormat.format(days, "day"));
  return (at.getFullYear() === now.getFullYear() ? dayFormat : yearFormat).format(at);
}

/** Returns true for two times on one local day. @param {Date} a @param {Date} b */
export const sameDay = (a, b) => a.toDateString() === b.toDateString();

/** @param {number} count @param {string} one */
export const counted = (count, one) => `${count} ${count === 1 ? one : `${one}s`}`;

/** @param {string} text */
const capitalized = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

/**
 * Makes an element with content.
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} content
 */
export function element(tag, className = "", ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

/** Isolates a name or a text, so that its direction does not affect its surroundings. @param {string} text */
export const isolated = (text) => element("bdi", "", text);

/** The same for plain text: adds isolating marks, if necessary. @param {string} text */
export const plainlyIsolated = (text) => (TURNING.test(text) ? `\u2068${text}\u2069` : text);

/** Shows a reason, with its small print, or hides it. @param {HTMLElement} where @param {Words | null} words */
export function showWords(where, words) {
  where.hidden = words === null;
  where.replaceChildren(...(words ? [words.text, ...smallPrint(words)] : []));
}

/** @param {Words} words */
export const smallPrint = ({ detail }) => (detail ? [element("small", "", detail)] : []);

/** Makes a user's avatar: the first letter on the user's colour. @param {string} userId */
export function avatar(userId) {
  const name = userId.toLocaleUpperCase();
  const [letter = ""] = letters ? Array.from(letters.segment(name), ({ segment }) => segment) : name;
  const made = element("span", "avatar", letter);
  made.ariaHidden = "true";
  let hash = 0;
  for (const character of userId) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  made.style.setProperty("--hue", String(((hash % HUES) * 360) / HUES));
  return made;
}

/** Splits a text into parts, with web addresses as links without referrer. @param {string} text */
export function linked(text) {
  /** @type {(Node | string)[]} */
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = withoutTrailing(found);
    if (!isWeb(address)) continue;
    parts.push(text.slice(end, index), link(address));
    end = index + address.length;
  }
  return [...parts, text.slice(end)];
}

/** Cuts off trailing punctuation. A closing bracket belongs to a link with an opening one. @param {string} address */
function withoutTrailing(address) {
  const trimmed = address.replace(TRAILING, "");
  return address[trimmed.length] === ")" && trimmed.includes("(") ? `${trimmed})` : trimmed;
}

/** @param {string} address */
function isWeb(address) {
  return URL.canParse(address) && ["http:", "https:"].includes(new URL(address).protocol);
}

/** @param {string} address */
function link(address) {
  const made = /** @type {HTMLAnchorElement} */ (element("a", "", address));
  made.href = address;
  made.dir = "ltr";
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  return made;
}

/** Makes a button that looks like a link. @param {string} label @param {() => void} act */
export function button(label, act) {
  const made = /** @type {HTMLButtonElement} */ (element("button", "link", label));
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
