/**
 * Refusals in words for people.
 *
 * @import { ErrorBody } from "./parlor.js"
 *
 * @typedef {object} Words
 * @property {string} text for people
 * @property {string} detail for support: the code and the server's message
 *
 * @typedef {Error & { description?: unknown, context?: { responseText?: string } }} ConnectError
 */

const SIGN_IN = "This page cannot do that: open the chat from the application it belongs to.";
const ORIGIN =
  "This server does not accept the address of this page. Its administrator can allow the address (ALLOWED_ORIGINS), or make the proxy pass on the Host header.";

/** Reasons for a refused entry, by code; the first matching pattern of the server's message counts. @type {Record<string, [RegExp, string][]>} */
const ENTRY = {
  INVALID_PAYLOAD: [[/./, "The server did not understand this page. Reload it: there may be a newer one."]],
  FORBIDDEN: [
    [/origin/i, ORIGIN],
    [/rooms at most|too many rooms/, "You are in too many rooms at once. Leave one of them first."],
    [/removed/, "You were removed from this room. Ask its owner to add you again."],
    [/members only/, "Only members may enter this room. Ask its owner to add you."],
    [/roomId|room/, "You may not enter this room."],
    [/./, "You may not enter with this name."],
  ],
  UNAUTHORIZED: [[/./, `Only people who are signed in may enter. ${SIGN_IN}`]],
  TOKEN_EXPIRED: [[/./, `Your sign-in has run out. ${SIGN_IN}`]],
  RATE_LIMITED: [[/./, "Too much is going on at once. Try again in a moment."]],
  UNAVAILABLE: [[/./, "The server cannot reach its messages right now. Try again in a moment."]],
  INTERNAL: [
    [/lost messages/, "The server has lost messages of this room. Join again to see what is there."],
    [/./, "Something went wrong on the server. Try again; if it happens again, tell its administrator."],
  ],
  UNKNOWN_EVENT: [[/./, "The server does not know this page's request. Reload the page: there may be a newer one."]],
  NOT_IN_ROOM: [[/./, "You are not in this room any more. Join again."]],
  MESSAGE_TOO_LARGE: [[/./, "A message is too long for this server."]],
  NOT_FOUND: [[/./, "The server does not have what this page asks for. Reload the page."]],
  CONFLICT: [[/./, "Somebody was faster. Reload the page to see how it is now."]],
};

/** Reasons for a refused message, by code; `{says}` stands for the server's message, a moderator's own. @type {typeof ENTRY} */
const SEND = {
  MESSAGE_TOO_LARGE: [[/./, "It is too long. Shorten it, or send it in parts."]],
  INVALID_PAYLOAD: [
    [/blank|empty|visible/, "There is nothing visible in it."],
    [/NUL|character/, "It has a character that cannot be sent."],
    [/./, "The server did not understand it."],
  ],
  FORBIDDEN: [
    [/^(roomId|userId|operatorId|seq|reaction): |^only operators may pin|^a room may have \d+ pinned/, "You may not write in this room."],
    [/./, "It is refused with the words “{says}”."],
  ],
  NOT_FOUND: [[/./, "The message that it belongs to is not there."]],
  CONFLICT: [[/./, "Somebody was faster: the message is not what it was."]],
  NOT_IN_ROOM: [[/./, "You were not in the room. Try again."]],
  UNKNOWN_EVENT: [[/./, "The server does not know this kind of message. Reload the page: there may be a newer one."]],
  RATE_LIMITED: [[/./, "You are sending too fast. Try again in a moment."]],
  UNAVAILABLE: [[/./, "The server cannot store messages right now. Try again in a moment."]],
  UNAUTHORIZED: [[/./, "You are not signed in."]],
  TOKEN_EXPIRED: [[/./, "Your sign-in has run out."]],
  INTERNAL: [[/./, "Something went wrong on the server. Try again."]],
};

/** Reasons for a refused room or a refused change of one, by code. @type {typeof ENTRY} */
const ROOM = {
  INVALID_PAYLOAD: [
    [/title/, "This title cannot be used: it is too long, or has characters that cannot be seen."],
    [/roomId/, "This room's name cannot be used: it is too long, or has characters that cannot be seen."],
    [/members.*100/, "A new room takes 100 members. Add the others later."],
    [/userId|members/, "A member's name cannot be used: it is too long, or has characters that cannot be seen."],
    [/./, "The server did not understand this page. Reload it: there may be a newer one."],
  ],
  CONFLICT: [[/./, "There is a room of this name already. Choose another one."]],
  FORBIDDEN: [
    [/in use/, "People write in a room of this name already. Choose another one."],
    [/needs an owner/, "The room needs an owner."],
    [/removed from this room/, "You were removed from this room."],
    [/./, "You may not do this in this room."],
  ],
  NOT_FOUND: [[/./, "This room has no settings: nobody created it."]],
  NOT_IN_ROOM: [[/./, "You are not in this room any more."]],
  UNKNOWN_EVENT: [[/./, "This server has no rooms with settings."]],
  MESSAGE_TOO_LARGE: [[/./, "This is too long for the server."]],
  RATE_LIMITED: [[/./, "Too much is going on at once. Try again in a moment."]],
  UNAVAILABLE: [[/./, "The server does not answer right now. Try again in a moment."]],
  UNAUTHORIZED: [[/./, "You are not signed in."]],
  TOKEN_EXPIRED: [[/./, "Your sign-in has run out."]],
  INTERNAL: [[/./, "Something went wrong on the server. Try again."]],
};

/** Reasons for a refused step of a call, by code. @type {typeof ENTRY} */
const CALL = {
  INVALID_PAYLOAD: [[/./, "The server did not understand this page. Reload it: there may be a newer one."]],
  CONFLICT: [[/./, "Somebody was faster. Look at how the call is now."]],
  FORBIDDEN: [[/./, "You may not take part in calls in this room."]],
  NOT_FOUND: [[/./, "There is no such call any more."]],
  NOT_IN_ROOM: [[/./, "You are not in this room any more."]],
  UNKNOWN_EVENT: [[/./, "This server has no calls."]],
  MESSAGE_TOO_LARGE: [[/./, "This is too long for the server."]],
  RATE_LIMITED: [[/./, "Too many calls at once. Try again in a moment."]],
  UNAVAILABLE: [[/./, "The server does not answer right now. Try again in a moment."]],
  UNAUTHORIZED: [[/./, "You are not signed in."]],
  TOKEN_EXPIRED: [[/./, "Your sign-in has run out."]],
  INTERNAL: [[/./, "Something went wrong on the server. Try again."]],
};

/** Reasons for a refused request of an administrator, by code. @type {typeof ENTRY} */
const ACT = {
  INVALID_PAYLOAD: [
    [/roomId/, "No room can have this name."],
    [/userId/, "No user can have this name."],
    [/./, "The server did not understand this page. Reload it: there may be a newer one."],
  ],
  UNAUTHORIZED: [[/./, "The server does not know this key or token. Check that it is whole, and that it belongs to this server."]],
  TOKEN_EXPIRED: [[/./, "This token has run out. Sign in with a new one."]],
  FORBIDDEN: [
    [/needs an owner/, "The room needs an owner: make somebody else one before."],
    [/rooms:|is for some rooms/, "This token is for some rooms only. Sign in with one for all rooms."],
    [/./, "This key or token does not permit that. It must be an API key, or a token of the role of a service."],
  ],
  NOT_FOUND: [
    [/path/, "This server has no such view: it may be of another version."],
    [/./, "It is not there any more."],
  ],
  CONFLICT: [[/./, "Somebody was faster. Look at how it is now."]],
  NOT_IN_ROOM: [[/./, "This token is not for this room."]],
  MESSAGE_TOO_LARGE: [[/./, "This is too long for the server."]],
  UNKNOWN_EVENT: [[/./, "This server has no such function."]],
  RATE_LIMITED: [[/./, "The server takes no more requests of this key right now."]],
  UNAVAILABLE: [
    [/no answer|status/, "The server cannot be reached."],
    [/./, "The server cannot do it right now: its database or another server does not answer."],
  ],
  INTERNAL: [[/./, "Something went wrong on the server. Its log says more."]],
};

/** Reasons for a failed connection, by HTTP status. @type {Record<number, string>} */
const STATUS = {
  400: "The server ended the connection. Trying again.",
  403: ORIGIN,
  404: "There is no chat server at this address. Trying again.",
  413: "A message was too long for a proxy on the way to the server. Trying again.",
  429: "The server is busy: too many connections at once, or too many from your network. Trying again.",
  502: "The server is away. Trying again.",
  503: "The server is full, or about to restart. Trying again.",
  504: "The server does not answer in time. Trying again.",
};

/** Codes of a temporarily refused connection, with the status of the same meaning. @type {Record<string, number>} */
const RETRIED = { RATE_LIMITED: 429, UNAVAILABLE: 503 };

const AWAY = "The server cannot be reached. Trying again.";

/** Faults of a name. @type {[RegExp, string][]} */
const NAME_FAULTS = [
  [/bytes.*control/, "is too long, or has invisible characters"],
  [/bytes/, "is too long"],
  [/damaged|half/, "has a broken character"],
  [/begin or end/, "begins or ends with a space"],
  [/./, "has invisible characters"],
];

/** Explains a refused or ended room. @param {Pick<ErrorBody, "code" | "message">} refusal @returns {Words} */
export function refusedEntry(refusal) {
  const words = inWords(ENTRY, refusal, "The server does not let you in.");
  const field = /\b(roomId|userId|operatorId)\b/.exec(refusal.message)?.[1];
  if (refusal.code !== "INVALID_PAYLOAD" || !field) return words;
  const fault = NAME_FAULTS.find(([pattern]) => pattern.test(refusal.message))?.[1];
  return { ...words, text: `This ${field === "roomId" ? "room's name" : "name"} cannot be used: it ${fault}. Choose another one.` };
}

/** Explains a refused message. @param {Pick<ErrorBody, "code" | "message">} refusal @returns {Words} */
export const refusedSend = (refusal) => inWords(SEND, refusal, "The server did not take it.");

/** Explains a refused room or a refused change of one. @param {Pick<ErrorBody, "code" | "message">} refusal @returns {Words} */
export const refusedRoom = (refusal) => inWords(ROOM, refusal, "The server did not do it.");

/** Explains a refused step of a call. @param {Pick<ErrorBody, "code" | "message">} refusal @returns {Words} */
export const refusedCall = (refusal) => inWords(CALL, refusal, "The call did not work.");

/** Explains a refused request of an administrator. @param {Pick<ErrorBody, "code" | "message">} refusal @returns {Words} */
export const refusedAct = (refusal) => inWords(ACT, refusal, "The server refused it.");

/** Explains a failed connection, from a socket's `connect_error`. @param {ConnectError} error @returns {Words} */
export function troubled({ message, description, context }) {
  const [, code, says] = /^([A-Z_]+): (.*)/s.exec(message) ?? [];
  if (code) {
    const words = refusedEntry({ code: /** @type {ErrorBody["code"]} */ (code), message: says });
    return code in RETRIED ? { ...words, text: STATUS[RETRIED[code]] } : words;
  }
  if (typeof description !== "number" || description === 0) return { text: AWAY, detail: "" };
  const parts = [`status ${description}`, bodyOf(context?.responseText ?? "")];
  return { text: STATUS[description] ?? AWAY, detail: parts.filter(Boolean).join(" · ") };
}

/** @param {typeof ENTRY} sentences @param {Pick<ErrorBody, "code" | "message">} refusal @param {string} otherwise */
function inWords(sentences, { code, message }, otherwise) {
  const says = message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
  const text = sentences[code]?.find(([pattern]) => pattern.test(says || "."))?.[1] ?? otherwise;
  return { text: text.replace("{says}", () => says), detail: `${code}: ${says}` };
}

/** Extracts the code and the message from a response's body. @param {string} json */
function bodyOf(json) {
  try {
    const { code, message } = JSON.parse(json).error;
    return `${code}: ${message}`;
  } catch {
    return "";
  }
}
