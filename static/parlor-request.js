/**
 * Requests on a stock Socket.IO client, and the server's refusals.
 *
 * @import { ClientToServerEvents, ErrorBody } from "./parlor.js"
 * @import { ParlorSocket, Refusal } from "./parlor-client.js"
 */

/** Longer than the server's default limit for a send (15 s), so that its answer wins. */
const ACK_TIMEOUT_MS = 20_000;
export const RETRY_MS = 1_000;
/** @type {ErrorBody} */
export const NO_ANSWER = { code: "UNAVAILABLE", message: "no answer from the server", retryable: true };

/**
 * Emits an event and passes on its ack, by a callback: a promise would settle after later events on the wire.
 * @param {ParlorSocket} socket
 * @param {Exclude<keyof ClientToServerEvents, "typing">} event
 * @param {object} payload
 * @param {(refusal: Refusal | null, answer: any) => void} answered
 */
export function request(socket, event, payload, answered) {
  const limited = /** @type {any} */ (socket.timeout(ACK_TIMEOUT_MS));
  limited.emit(event, payload, (/** @type {unknown} */ timedOut, /** @type {any} */ answer) => {
    let error = timedOut ? NO_ANSWER : answer.error;
    // The server now disconnects. The next connection may have a newer token; without one, it ends the room.
    if (error?.code === "TOKEN_EXPIRED") error = { ...error, retryable: true };
    answered(error ? refusal(error) : null, answer);
  });
}

/**
 * Emits an event once, and resolves with its ack. Rejects with a {@link Refusal}.
 * @param {ParlorSocket} socket
 * @param {Exclude<keyof ClientToServerEvents, "typing">} event
 * @param {object} payload
 * @returns {Promise<any>}
 */
export function ask(socket, event, payload) {
  return new Promise((resolve, reject) => {
    request(socket, event, payload, (refusal, answer) => (refusal ? reject(refusal) : resolve(answer)));
  });
}

/** @param {ErrorBody} refusal @param {() => void} action */
export function later({ retryAfterMs = RETRY_MS }, action) {
  setTimeout(action, retryAfterMs);
}

/** @param {ErrorBody} error @returns {Refusal} */
export function refusal(error) {
  return Object.assign(new Error(error.message), error);
}
