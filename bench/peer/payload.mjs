// Checks of payloads: each function returns the value or throws the contract's error.

const MAX_IDENTIFIER_BYTES = 128;
const MAX_MESSAGE_BYTES = 8_192;
const DEFAULT_HISTORY = 50;
const MAX_HISTORY = 200;
const CONTROL = /\p{Cc}/u;
const HALF_CHARACTER = /\p{Cs}/u;

const RETRYABLE = new Set(['UNAVAILABLE']);

/** An error that is reported to the client. */
export class ChatError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  toJSON() {
    return { code: this.code, message: this.message, retryable: RETRYABLE.has(this.code) };
  }
}

function invalid(message) {
  return new ChatError('INVALID_PAYLOAD', message);
}

export function object(payload) {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw invalid('the payload must be an object');
  }
  return payload;
}

/** Returns the name of a room, user or message. */
export function identifier(payload, field) {
  const value = payload[field];
  const fits = typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_IDENTIFIER_BYTES;
  if (!fits || CONTROL.test(value) || HALF_CHARACTER.test(value)) {
    throw invalid(`${field}: must be 1 to ${MAX_IDENTIFIER_BYTES} bytes of UTF-8 without control characters`);
  }
  return value;
}

/** Returns a name, or null when the field is missing. */
export function optionalIdentifier(payload, field) {
  return payload[field] == null ? null : identifier(payload, field);
}

export function body(payload) {
  const { message } = payload;
  if (typeof message !== 'string' || HALF_CHARACTER.test(message)) throw invalid('message: must be a string');
  if (Buffer.byteLength(message) > MAX_MESSAGE_BYTES) {
    throw new ChatError('MESSAGE_TOO_LARGE', `message: must be at most ${MAX_MESSAGE_BYTES} bytes`);
  }
  if (message.trim() === '') throw invalid('message: must not be blank');
  if (message.includes('\0')) throw invalid('message: must not contain NUL');
  return message;
}

/** Returns a whole number from 0, or null when the field is missing. */
export function whole(payload, field) {
  const value = payload[field];
  if (value == null) return null;
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${field}: must be a whole number, not negative`);
  return value;
}

export function limit(payload) {
  return Math.min(whole(payload, 'limit') ?? DEFAULT_HISTORY, MAX_HISTORY);
}

export function flag(payload, field) {
  if (typeof payload[field] !== 'boolean') throw invalid(`${field}: must be true or false`);
  return payload[field];
}
