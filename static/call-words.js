/**
 * Calls in words for people.
 *
 * @import { Call } from "./parlor.js"
 * @import { CallEvents } from "./parlor-call.js"
 * @import { DeviceTrouble, Troubles } from "./parlor-devices.js"
 * @import { Words } from "./words.js"
 */

const SECOND_MS = 1_000;
/** The longest call that is told: any client can write any number into a message. */
const LONGEST_MS = 3_600_000_000;

/** @param {number} milliseconds */
export function duration(milliseconds) {
  const seconds = Math.max(Math.round(milliseconds / SECOND_MS), 0);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** Returns a time as a clock counts it: `3:05`. @param {number} milliseconds */
export function counter(milliseconds) {
  const seconds = Math.max(Math.floor(milliseconds / SECOND_MS), 0);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** Lists names: "Ann, Bob and Carol". @param {string[]} names */
export const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "Nobody"));

/** @param {Pick<Call, "media">} call */
export const kindOf = ({ media }) => (media === "video" ? "Video call" : "Call");

/** Devices by their kinds. */
const DEVICES = { audio: "microphone", video: "camera", screen: "screen" };

/** Reasons for devices that do not work. @type {Record<DeviceTrouble, (devices: string[]) => string>} */
const TROUBLES = {
  missing: (devices) => `No ${devices.join(" and no ")} was found.`,
  refused: (devices) => `This browser may not use the ${listed(devices)}. Permit it beside the page's address, then turn it on here.`,
  busy: (devices) => `The ${listed(devices)} cannot be used right now: another program may have it.`,
  unavailable: (devices) => `The ${listed(devices)} can be used only where the page's address begins with https.`,
};

/** Explains devices that do not work; an empty text when all do. @param {Troubles} troubles */
export function troubledDevices(troubles) {
  /** @type {Map<DeviceTrouble, string[]>} */
  const devices = new Map();
  for (const [device, reason] of Object.entries(troubles)) {
    // A user who chose no screen knows that.
    if (device === "screen" && reason === "refused") continue;
    devices.set(reason, [...(devices.get(reason) ?? []), DEVICES[/** @type {keyof typeof DEVICES} */ (device)]]);
  }
  const sentences = [...devices].map(([reason, names]) => TROUBLES[reason](names));
  if (troubles.audio && troubles.video) sentences.push("You can listen and watch.");
  else if (troubles.audio) sentences.push("The others cannot hear you.");
  return sentences.join(" ");
}

/** Ends of a call, seen by its parties. @type {Record<CallEvents["ended"]["reason"], string>} */
const ENDS = {
  missed: "Nobody answered.",
  cancelled: "The call was cancelled.",
  rejected: "The call was declined.",
  left: "The call has ended.",
  alone: "The call has ended: nobody came.",
  lost: "The call has ended: the connection was lost.",
  hungUp: "You left the call.",
  dropped: "You are not in the call any more. You can join it again.",
};

/** Explains the end of a call. @param {CallEvents["ended"]} ended */
export const endOf = ({ reason }) => ENDS[reason] ?? ENDS.left;

/** Explains a conflict with the room's present call. @param {Call} current @param {string} userId the page's user @returns {Words} */
export function conflictWith({ state, parties }, userId) {
  const isThere = parties.some((party) => party.userId === userId);
  if (state === "ended") return { text: "The call is over.", detail: "" };
  if (isThere) return { text: "You are in this call in another tab or on another device.", detail: "" };
  return { text: "The call is full, or another one has begun.", detail: "" };
}

/** Outcomes of calls in the history, for others and for the starter. @type {Record<string, [string, string]>} */
const OUTCOMES = {
  missed: ["Missed call", "No answer"],
  cancelled: ["Missed call", "Cancelled call"],
  rejected: ["Declined call", "Declined call"],
  left: ["Call", "Call"],
  alone: ["Call", "Call"],
  lost: ["Call", "Call"],
};

/**
 * Reads the trace of a call from a message's metadata. Returns `null` for others.
 * @param {Record<string, unknown> | undefined} metadata
 * @param {boolean} own true for the starter
 */
export function traceOf(metadata, own) {
  const call = /** @type {{ media?: unknown, outcome?: unknown, durationMs?: unknown } | undefined} */ (metadata?.call);
  const words = typeof call?.outcome === "string" && Object.hasOwn(OUTCOMES, call.outcome) ? OUTCOMES[call.outcome] : undefined;
  if (!call || !words) return null;
  const isVideo = call.media === "video";
  const text = named(words[own ? 1 : 0], isVideo);
  const length = typeof call.durationMs === "number" && call.durationMs <= LONGEST_MS ? duration(call.durationMs) : "";
  return { text, length, isVideo, isMissed: !own && words[0] === "Missed call" };
}

/** @param {string} outcome @param {boolean} isVideo */
function named(outcome, isVideo) {
  if (!isVideo) return outcome;
  return outcome === "Call" ? "Video call" : outcome.replace(/ call$/, " video call");
}
