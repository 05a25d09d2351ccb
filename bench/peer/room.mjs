// A room: its sends go to the database one after another, so that they are stored, acknowledged and broadcast in one
// order. All at once, they would wait for the room's row with one connection each, and store no more.
//
// With several processes each one broadcasts what it has stored, and the adapter passes it on. Nothing then keeps messages
// of two processes in order, or makes up for a lost one: the adapters promise neither.
import { Members } from './members.mjs';

const REPLAY_PAGE = 200;

export class Room {
  members;
  #id;
  #store;
  #alone;
  #broadcast;
  #empty;
  /** The `seq` of the last broadcast message; undefined until the log has been read. */
  #cursor;
  #opening;
  #tail = Promise.resolve();
  /** Sends and joins in flight. */
  #busy = 0;
  /** The broadcasts since the beginning of each join that still reads its history. */
  #joining = new Set();

  /**
   * `broadcast(event, payload)` sends to the room's sockets; the room calls `empty` when nothing needs it any more.
   * `alone` is true for a single process.
   */
  constructor(id, store, alone, broadcast, empty) {
    this.#id = id;
    this.#store = store;
    this.#alone = alone;
    this.#broadcast = broadcast;
    this.#empty = empty;
    this.members = new Members((change) => {
      broadcast('presence', { roomId: id, ...change });
      this.#release();
    });
  }

  /** Stores a draft after its predecessors, calls `stored` with the message, and then broadcasts it. */
  send(draft, stored) {
    this.#busy += 1;
    const sent = this.#tail.then(() => this.#append(draft, stored)).finally(() => this.#done());
    this.#tail = sent.catch(() => {});
    return sent;
  }

  async #append(draft, stored) {
    if (this.#cursor === undefined) await this.#open();
    const outcome = await this.#store.append(draft);
    stored(outcome);
    const { message } = outcome;
    if (!this.#alone || message.seq === this.#cursor + 1) this.#deliver(message);
    else if (message.seq > this.#cursor) await this.#replay(message.seq);
  }

  #deliver(message) {
    this.#cursor = Math.max(this.#cursor, message.seq);
    for (const since of this.#joining) since.push(message);
    this.#broadcast('newMessage', message);
  }

  /** Delivers messages whose commit got no answer; what cannot be read now comes with the next message. */
  async #replay(end) {
    while (this.#cursor < end) {
      const missed = await this.#store.oldest(this.#id, this.#cursor, end + 1, REPLAY_PAGE).catch(() => undefined);
      if (missed === undefined) return;
      missed.messages.forEach((message) => this.#deliver(message));
    }
  }

  /** Reads a joiner's history and calls `admit` with it; later broadcasts begin where the history ends. */
  async join(lastSeq, limit, admit) {
    this.#busy += 1;
    const since = [];
    try {
      if (this.#cursor === undefined || !this.#alone) await this.#open();
      this.#joining.add(since);
      const read = await this.#read(lastSeq, limit);
      admit(this.#history(read, since, lastSeq, limit));
    } finally {
      this.#joining.delete(since);
      this.#done();
    }
  }

  #read(after, limit) {
    if (after >= this.#cursor) return { messages: [], hasMore: false };
    return this.#store.newest(this.#id, after, this.#cursor + 1, limit);
  }

  #history(read, since, after, limit) {
    const all = read.messages.concat(since.filter(({ seq }) => seq > after));
    const messages = all.slice(Math.max(0, all.length - limit));
    return { messages, lastSeq: this.#cursor, hasMore: read.hasMore || all.length > limit };
  }

  #open() {
    const opened = (seq) => { this.#cursor = Math.max(this.#cursor ?? 0, seq); };
    this.#opening ??= this.#store.lastSeq(this.#id).then(opened).finally(() => { this.#opening = undefined; });
    return this.#opening;
  }

  /** Resolves when the waiting sends are done. */
  idle() {
    return this.#tail;
  }

  #done() {
    this.#busy -= 1;
    this.#release();
  }

  leave(socketId, broken) {
    this.members.leave(socketId, broken);
    this.#release();
  }

  #release() {
    if (this.#busy > 0 || this.members.count > 0) return;
    this.members.close();
    this.#empty();
  }
}
