// A room's members. They are users, not sockets, and news of them goes out together.

const MAX_LISTED = 200;
const LARGE_ROOM = 200;
const INTERVAL_MS = 250;
const LARGE_INTERVAL_MS = 1_000;
const GRACE_MS = 5_000;

export class Members {
  #tell;
  /** The user of each socket. */
  #sockets = new Map();
  /** The number of each user's sockets; zero while a broken connection may come back. */
  #users = new Map();
  #away = new Map();
  #joined = new Set();
  #left = new Set();
  #quietUntil = 0;
  #toldCount = 0;
  #timer;

  /** `tell` sends news to the room's sockets. */
  constructor(tell) {
    this.#tell = tell;
  }

  get count() {
    return this.#users.size;
  }

  /** Adds a socket, unless it is there, and returns the members for the joiner. */
  enter(socket, user) {
    if (!this.#sockets.has(socket)) this.#add(socket, user);
    return { members: this.#listed(), memberCount: this.count };
  }

  #listed() {
    const names = [];
    for (const user of this.#users.keys()) {
      if (names.push(user) === MAX_LISTED) break;
    }
    return names;
  }

  #add(socket, user) {
    this.#sockets.set(socket, user);
    clearTimeout(this.#away.get(user));
    this.#away.delete(user);
    const sockets = this.#users.get(user);
    this.#users.set(user, (sockets ?? 0) + 1);
    if (sockets === undefined) this.#changed(user, this.#joined, this.#left);
  }

  /** Removes a socket. A user without sockets leaves at once, or after a grace period if the connection broke. */
  leave(socket, broken) {
    const user = this.#sockets.get(socket);
    if (!this.#sockets.delete(socket)) return;
    const sockets = this.#users.get(user) - 1;
    this.#users.set(user, sockets);
    if (sockets > 0) return;
    if (broken) this.#away.set(user, setTimeout(() => this.#remove(user), GRACE_MS));
    else this.#remove(user);
  }

  /** Ends all news. */
  close() {
    clearTimeout(this.#timer);
  }

  #remove(user) {
    this.#away.delete(user);
    this.#users.delete(user);
    this.#changed(user, this.#left, this.#joined);
  }

  #changed(user, now, before) {
    before.delete(user);
    now.add(user);
    const wait = Math.max(0, this.#quietUntil - Date.now());
    this.#timer ??= setTimeout(() => this.#send(), wait);
  }

  #send() {
    this.#timer = undefined;
    const large = this.count > LARGE_ROOM;
    const unchanged = large && this.count === this.#toldCount;
    const names = large ? { joined: [], left: [] } : { joined: [...this.#joined], left: [...this.#left] };
    this.#joined.clear();
    this.#left.clear();
    this.#toldCount = this.count;
    this.#quietUntil = Date.now() + (large ? LARGE_INTERVAL_MS : INTERVAL_MS);
    if (!unchanged) this.#tell({ ...names, memberCount: this.count });
  }
}
