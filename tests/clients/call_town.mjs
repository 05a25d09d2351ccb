/** A room's server in the page, for scripts that lose, hold and reorder signals between real connections of one browser. */

/** Defines `Town` on the page, whose `enter` returns rooms as `parlor-client.js` has them; a page evaluates this function. */
export async function installTown() {
  const { Calls } = await import("/parlor-call.js");

  class Town {
    call = null;
    rooms = [];
    /** All signals, in the order sent. */
    signals = [];
    /** Passes on a signal: a test may hold it, lose it or repeat it. */
    pass = (signal, deliver) => deliver();
    /** The number of requests for servers. */
    asked = 0;

    /** Enters as a client, and returns its room and its calls. */
    enter(userId, partyId, options = {}) {
      const room = new Room(this, userId);
      this.rooms.push(room);
      return { room, calls: new Calls(room, { partyId, ...options }) };
    }

    change(call) {
      this.call = { ...this.call, ...call };
      for (const room of this.rooms) if (room.state === "joined") room.emit("info");
    }

    answer(userId, event, { callId, partyId, media, to }) {
      if (event === "getIceServers") {
        this.asked += 1;
        return { iceServers: [], expiresAt: new Date(Date.now() + 3_600_000).toISOString() };
      }
      const others = (this.call?.parties ?? []).filter((party) => party.partyId !== partyId);
      const all = [...others, { partyId, userId }];
      if (event === "startCall") {
        this.change({ callId, state: "ringing", media, to, startedBy: userId, startedAt: new Date().toISOString(), parties: all });
      } else if (this.call?.callId !== callId || (event === "joinCall" && this.call.state === "ended")) {
        throw Object.assign(new Error("another call, or none"), { code: "CONFLICT" });
      } else if (event === "joinCall") {
        const known = this.call.parties.some((party) => party.partyId === partyId);
        this.change(known ? {} : { state: "active", parties: all });
      } else if (event === "leaveCall") {
        this.change(others.length > 0 ? { parties: others } : { parties: [], state: "ended", endedReason: "left" });
      } else if (event === "rejectCall") {
        this.change({ rejectedBy: [...(this.call.rejectedBy ?? []), userId] });
      }
      return { call: this.call };
    }
  }

  class Room {
    roomId = "town";
    state = "joined";
    signals = Promise.resolve();
    listeners = new EventTarget();
    /** The party of this client, as the server knows it. */
    partyId = null;

    constructor(town, userId) {
      Object.assign(this, { town, userId });
    }

    get info() {
      return this.town.call && { access: "open", call: this.town.call };
    }

    on(event, listener) {
      this.listeners.addEventListener(event, ({ detail }) => listener(detail));
    }

    emit(event, detail) {
      this.listeners.dispatchEvent(Object.assign(new Event(event), { detail }));
    }

    async ask(event, payload) {
      await null;
      const answer = this.town.answer(this.userId, event, payload);
      if (event === "startCall" || event === "joinCall") this.partyId = payload.partyId;
      return answer;
    }

    async signal(type, data, to) {
      const signal = { from: this.partyId, to: to.partyId, data: JSON.parse(JSON.stringify(data)) };
      this.town.signals.push(signal);
      const deliver = () => {
        const room = this.town.rooms.findLast(({ partyId, state }) => partyId === to.partyId && state === "joined");
        room?.emit("signal", { roomId: "town", userId: this.userId, partyId: this.partyId, type, data: JSON.parse(JSON.stringify(data)) });
      };
      setTimeout(() => this.town.pass(signal, deliver));
    }

    setState(state) {
      this.state = state;
      this.emit("state", state);
    }

    /** Goes away without a word, as a page that is reloaded. */
    vanish() {
      this.town.rooms.splice(this.town.rooms.indexOf(this), 1);
      this.state = "closed";
    }
  }

  /** Waits until something is so. */
  const until = async (isSo, what) => {
    const end = performance.now() + 25_000;
    while (!(await isSo())) {
      if (performance.now() > end) throw new Error(`waited for ${what}`);
      await new Promise((look) => setTimeout(look, 20));
    }
  };

  /** Plays the media of all parties: a browser decodes nothing else. */
  const play = (calls) => {
    for (const { stream } of calls.parties.values()) {
      if ([...document.querySelectorAll("video")].some(({ srcObject }) => srcObject === stream)) continue;
      const video = document.createElement("video");
      Object.assign(video, { srcObject: stream, autoplay: true });
      document.body.append(video);
      video.play().catch(() => {});
    }
  };

  /** Waits until a client receives new pictures and new sound of a party. */
  const flows = async (calls, partyId) => {
    play(calls);
    const counts = () => window.countMedia(calls.parties.get(partyId)?.stream);
    const [frames, energy] = await counts();
    await until(async () => {
      const now = await counts();
      return now[0] > frames && now[1] > energy;
    }, `pictures and sound of ${partyId}`);
  };

  const connected = (a, b) =>
    until(() => a.calls.parties.get(b.room.partyId)?.path === "connected" && b.calls.parties.get(a.room.partyId)?.path === "connected", "a path");

  /** Enters two, of whom the first is to call the other. */
  const enterPair = async (town, caller = "1", callee = "2") => {
    const [a, b] = [town.enter("ann", caller), town.enter("bob", callee)];
    const errors = [];
    for (const { calls } of [a, b]) calls.on("error", (error) => errors.push(error));
    return { a, b, errors };
  };

  /** Lets two call each other, and waits until they see and hear each other. */
  const pair = async (town, caller, callee) => {
    const both = await enterPair(town, caller, callee);
    const { a, b } = both;
    await a.calls.start({ audio: true, video: true });
    await until(() => b.calls.state === "ringing", "the ringing");
    await b.calls.join({ audio: true, video: true });
    await connected(a, b);
    await flows(a.calls, b.room.partyId);
    await flows(b.calls, a.room.partyId);
    return both;
  };

  /** Lets all connections be negotiated again. */
  const restart = () => window.connections.forEach((connection) => connection.signalingState !== "closed" && connection.restartIce());

  Object.assign(window, { Town, until, flows, connected, enterPair, pair, restart });
}
