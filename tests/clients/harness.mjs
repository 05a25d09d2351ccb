/** What the scripts share: deadlines, and clients that keep all they get. */

import assert from "node:assert/strict";
import { io } from "socket.io-client";

/** Far more than anything here takes on a slow machine, and less than the Rust side waits for a script. */
const DEADLINE_MS = 10_000;

const EVENTS = ["newMessage", "presence", "typing", "history", "error"];

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** Where the server is, and how to talk to it. */
export const [, , url, transport] = process.argv;

/** Waits for a promise, and fails when that takes too long. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The next event of an emitter. */
export function next(emitter, event) {
  return within(event, new Promise((resolve) => emitter.once(event, resolve)));
}

/** The official client, on its way to the server. */
export function open(auth, options = {}) {
  const socket = io(`${url}${options.namespace ?? ""}`, {
    auth,
    transports: TRANSPORTS[transport],
    forceNew: true,
    reconnection: false,
    ...options,
  });
  return new Client(socket);
}

/** A connected client, closed after the test; on `upgrade` it has left polling behind. */
export async function connect(t, auth) {
  const client = open(auth);
  t.after(() => client.close());
  const { engine } = client.socket.io;
  const upgraded = transport === "upgrade" ? next(engine, "upgrade") : undefined;
  await Promise.all([client.connected(), upgraded]);
  assert.equal(engine.transport.name, transport === "polling" ? "polling" : "websocket");
  return client;
}

/** A guest, connected. */
export const guest = (t, userId) => connect(t, { userId });

/** A guest that has joined a room. */
export async function member(t, userId, roomId) {
  const client = await guest(t, userId);
  await client.ok("joinRoom", { roomId });
  return client;
}

/** A socket of any version of the official client. */
export class Client {
  /** All that came, by event. */
  received = Object.fromEntries(EVENTS.map((event) => [event, []]));
  #read = Object.fromEntries(EVENTS.map((event) => [event, 0]));
  #waiting = [];

  constructor(socket) {
    this.socket = socket;
    for (const event of EVENTS) {
      socket.on(event, (...payloads) => {
        this.received[event].push(payloads.length === 1 ? payloads[0] : payloads);
        this.#waiting.splice(0).forEach((look) => look());
      });
    }
  }

  async connected() {
    const refused = new Promise((_, reject) => this.socket.once("connect_error", reject));
    await Promise.race([next(this.socket, "connect"), refused]);
  }

  /** The oldest event of this name that was not asked for yet. */
  async next(event) {
    const place = this.#read[event]++;
    return within(`${event} ${place + 1}`, this.#at(event, place));
  }

  async #at(event, place) {
    while (this.received[event].length <= place) await new Promise((look) => this.#waiting.push(look));
    return this.received[event][place];
  }

  /** All the messages that came live, once there are `count`. */
  async messages(count) {
    while (this.received.newMessage.length < count) await this.next("newMessage");
    return this.received.newMessage;
  }

  /** Emits an event; its ack must carry exactly one object. */
  async call(event, payload) {
    const ack = new Promise((resolve) => this.socket.emit(event, payload, (...answers) => resolve(answers)));
    const answers = await within(`the ack of ${event}`, ack);
    assert.equal(answers.length, 1);
    return answers[0];
  }

  /** The same, and the answer must be `ok`; what it carries. */
  async ok(event, payload) {
    const { status, ...carried } = await this.call(event, payload);
    assert.equal(status, "ok", JSON.stringify(carried));
    return carried;
  }

  /** The same, and the answer must be an error; the error. */
  async refused(event, payload) {
    const answer = await this.call(event, payload);
    assert.equal(answer.status, "error", JSON.stringify(answer));
    assert.deepEqual(Object.keys(answer).sort(), ["error", "status"]);
    return answer.error;
  }

  /** Sends a message; the stored one. */
  async send(roomId, message, clientMessageId) {
    return (await this.ok("sendMessage", { roomId, message, clientMessageId })).message;
  }

  close() {
    this.socket.close();
  }
}
