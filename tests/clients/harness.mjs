/** The scripts' kit: deadlines, and clients that record everything they receive. */

import assert from "node:assert/strict";
import { io } from "socket.io-client";

/** The longest wait of a step, in milliseconds: the Rust side sets it, and waits longer for the script. */
export const DEADLINE_MS = Number(process.env.DEADLINE_MS ?? 20_000);

const EVENTS = ["newMessage", "presence", "typing", "history", "error"];

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** The server's URL, and the transport. */
export const [, , url, transport] = process.argv;

/** Waits for a promise, and fails after the deadline. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits for an emitter's next event. */
export function next(emitter, event) {
  return within(event, new Promise((resolve) => emitter.once(event, resolve)));
}

/** Starts to connect the official client. */
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

/** Connects a client, which is closed after the test; with `upgrade` it has left polling. */
export async function connect(t, auth) {
  const client = open(auth);
  t.after(() => client.close());
  const { engine } = client.socket.io;
  const upgraded = transport === "upgrade" ? next(engine, "upgrade") : undefined;
  await Promise.all([client.connected(), upgraded]);
  assert.equal(engine.transport.name, transport === "polling" ? "polling" : "websocket");
  return client;
}

/** Connects a guest. */
export const guest = (t, userId) => connect(t, { userId });

/** Connects a guest and joins a room. */
export async function member(t, userId, roomId) {
  const client = await guest(t, userId);
  await client.ok("joinRoom", { roomId });
  return client;
}

/** A socket of any version of the official client. */
export class Client {
  /** All received payloads, by event. */
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

  /** Waits for the oldest event of this name that no call has returned yet. */
  async next(event) {
    const place = this.#read[event]++;
    return within(`${event} ${place + 1}`, this.#at(event, place));
  }

  async #at(event, place) {
    while (this.received[event].length <= place) await new Promise((look) => this.#waiting.push(look));
    return this.received[event][place];
  }

  /** Waits for `count` live messages, and returns all of them. */
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

  /** Emits an event, whose answer must be `ok`, and returns the rest of the answer. */
  async ok(event, payload) {
    const { status, ...carried } = await this.call(event, payload);
    assert.equal(status, "ok", JSON.stringify(carried));
    return carried;
  }

  /** Emits an event, whose answer must be an error, and returns the error. */
  async refused(event, payload) {
    const answer = await this.call(event, payload);
    assert.equal(answer.status, "error", JSON.stringify(answer));
    assert.deepEqual(Object.keys(answer).sort(), ["error", "status"]);
    return answer.error;
  }

  /** Sends a message, and returns it as stored. */
  async send(roomId, message, clientMessageId) {
    return (await this.ok("sendMessage", { roomId, message, clientMessageId })).message;
  }

  close() {
    this.socket.close();
  }
}
