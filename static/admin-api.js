/**
 * Requests to the REST API, with the administrator's key.
 *
 * @import { ErrorBody, Message, RoomSettings } from "./parlor.js"
 *
 * @typedef {object} Figures the figures of a server
 * @property {string} version
 * @property {string} startedAt
 * @property {number} connections
 * @property {number} streams
 * @property {number} members
 * @property {number} rooms
 * @property {number} messages stored since the start
 * @property {{ entries: number, bytes: number }} queue
 * @property {boolean} isStoring
 * @property {boolean} isBusWell
 * @property {{ open: number, inUse: number, max: number }} pool
 *
 * @typedef {{ id: string, isSilent: boolean, figures?: Figures }} Node
 * @typedef {{ roomId: string, members: number, lastSeq: number }} BusyRoom
 *
 * @typedef {object} Receiver a receiver of webhooks
 * @property {string} url
 * @property {boolean} isOff
 * @property {string} [offBecause]
 * @property {number} rooms
 * @property {number} events
 * @property {string} [oldest]
 * @property {string} [succeededAt]
 * @property {string} [failedAt]
 * @property {string} [lastError]
 *
 * @typedef {object} Overview
 * @property {string} at
 * @property {number} nodeCount
 * @property {Node[]} nodes
 * @property {{ connections: number, streams: number, members: number, queueEntries: number }} totals
 * @property {BusyRoom[]} rooms
 * @property {{ kind: string, isWell: boolean }} database
 * @property {{ mode: string, isWell: boolean }} bus
 * @property {Receiver[]} [webhooks]
 *
 * @typedef {{ roomId: string, lastSeq: number, lastRevision: number, room?: RoomSettings }} RoomState
 * @typedef {{ members: string[], memberCount: number }} RoomPresence
 * @typedef {{ connections: number, rooms: string[] }} UserPresence
 * @typedef {{ userId: string, role: string }} Member
 * @typedef {{ messages: Message[], hasMore: boolean }} HistoryPage
 */

const BASE = "api/v1";
/** Longer than the server's longest wait for the database and the other servers. */
const TIMEOUT_MS = 10_000;
/** The only characters of keys and tokens. */
const KEY = /^[\x21-\x7e]+$/;
const STORED_AT = "parlorAdminKey";

/** A refusal by the server; status 0 when there is no answer. */
export class Refused extends Error {
  /** @param {number} status @param {Pick<ErrorBody, "code" | "message">} body @param {number} [waitMs] */
  constructor(status, { code, message }, waitMs = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.waitMs = waitMs;
  }

  /** True when another key is needed. */
  get isFinal() {
    return [401, 403, 404].includes(this.status);
  }
}

/** The API as one administrator may use it. */
export class Api {
  #key;

  /** @param {string} key */
  constructor(key) {
    this.#key = key;
  }

  /** @returns {Promise<Overview>} */
  overview() {
    return this.#ask("GET", "overview");
  }

  /** @param {string} roomId @returns {Promise<RoomState>} */
  room(roomId) {
    return this.#ask("GET", "rooms", { roomId });
  }

  /** @param {string} roomId @returns {Promise<RoomPresence>} */
  present(roomId) {
    return this.#ask("GET", "presence", { roomId });
  }

  /** @param {string} roomId @param {number} limit @returns {Promise<{ members: Member[], cursor?: string | null }>} */
  members(roomId, limit) {
    return this.#ask("GET", "members", { roomId, limit: String(limit) });
  }

  /** @param {string} roomId @param {number} limit @returns {Promise<HistoryPage>} */
  messages(roomId, limit) {
    return this.#ask("GET", "messages", { roomId, limit: String(limit) });
  }

  /** @param {string} userId @returns {Promise<UserPresence>} */
  user(userId) {
    return this.#ask("GET", "presence", { userId });
  }

  /** @param {string} roomId @param {number} seq */
  deleteMessage(roomId, seq) {
    return this.#ask("DELETE", "messages", { roomId, seq: String(seq) });
  }

  /** @param {string} roomId @param {string} userId */
  removeMember(roomId, userId) {
    return this.#ask("DELETE", "members", { roomId, userId });
  }

  /** @param {string} roomId */
  closeConversation(roomId) {
    return this.#ask("POST", "conversations/close", {}, { roomId });
  }

  /** @param {string} userId @returns {Promise<UserPresence>} */
  disconnect(userId) {
    return this.#ask("POST", "disconnect", {}, { userId });
  }

  /** @param {string} method @param {string} path @param {Record<string, string>} [query] @param {object} [body] */
  async #ask(method, path, query = {}, body) {
    if (!KEY.test(this.#key)) throw new Refused(401, { code: "UNAUTHORIZED", message: "not a key, nor a token" });
    const fields = new URLSearchParams(query).toString();
    const response = await fetch(`${BASE}/${path}${fields && `?${fields}`}`, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => {
      throw new Refused(0, { code: "UNAVAILABLE", message: "no answer" });
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const waitMs = 1000 * Number(response.headers.get("retry-after") ?? 0);
    const unknown = { code: "UNAVAILABLE", message: `status ${response.status}` };
    throw new Refused(response.status, answer.error ?? unknown, waitMs);
  }
}

/** Returns the key of this tab; the browser forgets it when the tab closes. */
export function keptKey() {
  try {
    return sessionStorage.getItem(STORED_AT) ?? "";
  } catch {
    return "";
  }
}

/** Keeps the key for reloads of this tab, unless the browser's settings forbid it; an empty one is forgotten. @param {string} key */
export function keepKey(key) {
  try {
    if (key) sessionStorage.setItem(STORED_AT, key);
    else sessionStorage.removeItem(STORED_AT);
  } catch {
    // The key lives as long as the page.
  }
}
