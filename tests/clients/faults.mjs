/**
 * Members who talk in rooms until everything is said and heard, whatever happens to their connections: `node faults.mjs
 * PLAN`.
 *
 * The plan is JSON: `members`, each with `url`, `transports`, `userId`, `roomId`, perhaps a `localAddress` of its own; and
 * the number of messages that each of them `sends`. The script prints a line of JSON at every tenth ack, and one at the end with everything each member
 * has received and sent.
 */

import { webcrypto } from "node:crypto";
import { Agent } from "node:http";
import { setTimeout } from "node:timers/promises";
import { io } from "socket.io-client";
import { Parlor } from "../../static/parlor-client.js";
import { DEADLINE_MS } from "./harness.mjs";

// Node 18 has it in this module only.
globalThis.crypto ??= webcrypto;

/** Types of Socket.IO packets: https://github.com/socketio/socket.io-protocol#packet-types */
const [CONNECT, EVENT, ACK] = [0, 2, 3];

const FAST = { reconnectionDelay: 20, reconnectionDelayMax: 100 };

const { members, sends } = JSON.parse(process.argv[2]);
let acks = 0;

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const texts = (messages) => messages.map(({ seq, message }) => [seq, message]);

class Member {
  /** Errors in the order of the messages, before the room sorts them. */
  faults = [];
  /** The newest message's `seq` at the last join. */
  had = 0;
  /** The `seq` up to which this connection has received everything; `null` before the join's answer. */
  last = null;
  resumed = 0;
  sent = 0;
  duplicates = 0;
  acked = [];

  constructor({ url, transports, userId, roomId, localAddress }) {
    Object.assign(this, { userId, roomId });
    // Without `keepAlive`: on a kept connection that a proxy ends, Node's XMLHttpRequest starts its second attempt and never
    // ends it.
    const agent = localAddress && new Agent({ localAddress });
    // Cookies are kept with credentials only.
    this.socket = io(url, { auth: { userId }, transports, agent, withCredentials: true, forceNew: true, ...FAST });
    this.socket.onAnyOutgoing((event) => {
      this.sent += event === "sendMessage";
      if (event === "joinRoom") this.had = this.room?.messages.at(-1)?.seq ?? 0;
    });
    // Packets in their order on the wire. When a connection breaks, the socket drops its acks and keeps its events for
    // the next one.
    this.socket.io.on("packet", ({ type, data }) => {
      if (type === CONNECT) this.last = null;
      if (type === ACK) this.#answered(data.at(-1));
      if (type === EVENT && data[0] === "newMessage") this.#told(data[1]);
    });
  }

  #answered({ duplicate = false, lastSeq, messages, hasMore }) {
    this.duplicates += duplicate;
    if (lastSeq !== undefined) this.#joined(lastSeq, messages.length, hasMore);
  }

  /** A join's answer holds all missed messages, or says that there are more. */
  #joined(lastSeq, count, hasMore) {
    if (!hasMore && count !== lastSeq - this.had) this.faults.push(`${count} messages between ${this.had} and ${lastSeq}`);
    if (lastSeq !== (this.last ?? lastSeq)) this.faults.push(`joined at ${lastSeq} after ${this.last}`);
    this.last = lastSeq;
  }

  /** Live messages follow the join's answer, in order, once. */
  #told({ seq }) {
    if (this.last === null || seq !== this.last + 1) this.faults.push(`${seq} after ${this.last}`);
    this.last = seq;
  }

  async join() {
    this.room = await new Parlor(this.socket, null).joinRoom(this.roomId, { timeoutMs: Infinity });
    this.room.on("resume", () => (this.resumed += 1));
  }

  /** Sends all messages, and resolves once all of them are acked. */
  async talk() {
    const receipts = Array.from({ length: sends }, (_, place) => this.room.send(`${this.userId} ${place + 1}`));
    await Promise.all(receipts.map(async (receipt) => this.#acked(await receipt)));
  }

  #acked(stored) {
    this.acked.push(stored);
    acks += 1;
    if (acks % 10 === 0) print({ acks });
  }

  /** Waits until all of the room's messages have arrived. */
  heard() {
    const expected = sends * members.filter(({ roomId }) => roomId === this.roomId).length;
    return new Promise((resolve) => {
      const look = () => this.room.messages.length >= expected && resolve();
      this.room.on("message", look);
      look();
    });
  }

  report() {
    const { userId, roomId, faults, resumed, sent, duplicates, acked, room } = this;
    return { userId, roomId, faults, resumed, sent, duplicates, acked: texts(acked), received: texts(room.messages) };
  }
}

const people = members.map((member) => new Member(member));
await Promise.all(people.map((member) => member.join()));
await Promise.all(people.map((member) => member.talk()));
await Promise.race([Promise.all(people.map((member) => member.heard())), setTimeout(DEADLINE_MS)]);
process.stdout.write(`${JSON.stringify({ members: people.map((member) => member.report()) })}\n`, () => process.exit());
