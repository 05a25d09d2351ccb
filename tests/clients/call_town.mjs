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
    servers = () => ({ iceServers: [] });

    /** Enters as a client, and returns its room and its calls. */
    enter(userId, partyId, options = {}) {
      const room = new Room(this, userId);
      this.rooms.push(room);
      const configuration = { bundlePolicy: "max-bundle" };
      const constraints = { video: { width: 160, height: 120, frameRate: 10 } };
      return { room, calls: new Calls(room, { partyId, configuration, constraints, ...options }) };
    }

    change(call) {
      this.call = { ...this.call, ...call };
      for (const room of this.rooms) if (room.state === "joined") room.emit("info");
    }

    answer(userId, event, { callId, partyId, media, to }) {
      if (event === "getIceServers") return this.servers();
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
    const end = performance.now() + 15_000;
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
    }
  };

  /** Waits until a client receives new pictures and new sound of a party. */
  const flows = async (calls, partyId) => {
    play(calls);
    const counts = async () => {
      const peer = calls.parties.get(partyId);
      const tracks = peer?.stream.getTracks() ?? [];
      const reports = await Promise.all(window.connections.map((connection) => connection.getStats()));
      const entries = reports.flatMap((report) => [...report.values()]);
      const own = entries.filter(({ type, trackIdentifier }) => type === "inbound-rtp" && tracks.some(({ id }) => id === trackIdentifier));
      const sum = (field) => own.reduce((total, entry) => total + (entry[field] ?? 0), 0);
      return [sum("framesDecoded"), sum("totalAudioEnergy")];
    };
    const [frames, energy] = await counts();
    await until(async () => {
      const now = await counts();
      return now[0] > frames && now[1] > energy;
    }, `pictures and sound of ${partyId}: ${JSON.stringify(await counts())}`);
  };

  Object.assign(window, { Town, until, flows });
}
