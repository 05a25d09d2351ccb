/**
 * Calls on the page.
 *
 * @import { Call } from "./parlor.js"
 * @import { Refusal, Room } from "./parlor-client.js"
 * @import { CallEvents } from "./parlor-call.js"
 * @import { Wanted } from "./parlor-devices.js"
 */

import { lineOf } from "./call-clock.js";
import { ring } from "./call-sound.js";
import { Tiles } from "./call-tiles.js";
import { conflictWith, endOf, kindOf, listed, troubledDevices } from "./call-words.js";
import { page } from "./page.js";
import { Calls } from "./parlor-call.js";
import { avatar, isolated, plainlyIsolated, showWords } from "./text.js";
import { setTitle } from "./title.js";
import { refusedCall } from "./words.js";

/** The devices in use before a reload. */
const WANTED_KEY = "parlorCallDevices";
/** The time for which the end of a call is told. */
const TOLD_MS = 6_000;
const SECOND_MS = 1_000;
/** The longest wait for the server when the user leaves the room. */
const LEAVE_MS = 500;
/** Controls into which somebody may be writing. */
const WRITING = "input, textarea, dialog *";

/** Shows the calls of a room, and returns a function that hangs up. @param {Room} room */
export function showCalls(room) {
  const calls = new Calls(room);
  new CallPanel(room, calls);
  return () => Promise.race([calls.leave(), new Promise((resolve) => setTimeout(resolve, LEAVE_MS))]);
}

class CallPanel {
  #room;
  #calls;
  #tiles;
  /** The user who left last, while the others are alone. */
  #departed = "";
  /** @type {Map<string, string>} */
  #present = new Map();
  /** The call to which this page came back after a reload. */
  #returned = "";
  /** The words after the end. */
  #told = "";
  #telling = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

  /** @param {Room} room @param {Calls} calls */
  constructor(room, calls) {
    this.#room = room;
    this.#calls = calls;
    this.#tiles = new Tiles(page.tiles, calls, room.userId, () => (page.callSound.hidden = false));
    this.#listen();
    page.callButton.hidden = false;
    calls.on("state", () => this.#show());
    calls.on("parties", () => this.#showParties());
    calls.on("media", () => this.#showMedia());
    calls.on("ring", ({ startedBy }) => this.#ring(startedBy));
    calls.on("ringEnd", () => this.#ring(""));
    calls.on("ended", (ended) => this.#tellEnd(ended));
    setInterval(() => this.#tick(), SECOND_MS);
    this.#show();
  }

  #listen() {
    const calls = this.#calls;
    page.callAudio.addEventListener("click", () => this.#start({ audio: true }));
    page.callVideo.addEventListener("click", () => this.#start({ audio: true, video: true }));
    page.callAccept.addEventListener("click", () => this.#join({ audio: true }));
    page.callAcceptVideo.addEventListener("click", () => this.#join({ audio: true, video: true }));
    page.callDecline.addEventListener("click", () => this.#report(calls.reject()));
    page.callLeave.addEventListener("click", () => this.#report(calls.leave()));
    page.callMute.addEventListener("click", () => calls.mute(calls.sends.audio));
    page.callCamera.addEventListener("click", () => calls.camera(!calls.sends.video || calls.sends.screen));
    page.callScreen.addEventListener("click", () => calls.shareScreen(!calls.sends.screen));
    page.callEnlarge.addEventListener("click", () => this.#enlarge(!page.chat.classList.contains("with-large-call")));
    page.callSound.addEventListener("click", () => {
      page.callSound.hidden = true;
      this.#tiles.unmute();
    });
    // A reload keeps the call; a way into another room, or out of this one, ends it.
    window.addEventListener("pagehide", () => {
      const isReload = history.state?.name && new URLSearchParams(location.search).get("room") === this.#room.roomId;
      if (!isReload) calls.leave();
    });
  }

  /** @param {Wanted} wanted */
  #start(wanted) {
    if (page.callKinds.matches(":popover-open")) page.callKinds.hidePopover();
    keepWanted(wanted);
    this.#report(this.#calls.start(wanted));
    page.callMute.focus();
  }

  /** @param {Wanted} wanted */
  #join(wanted) {
    keepWanted(wanted);
    this.#report(this.#calls.join(wanted));
    page.callMute.focus();
  }

  /** Says why a step was refused. @param {Promise<void>} step */
  async #report(step) {
    showWords(page.trouble, null);
    try {
      await step;
    } catch (error) {
      const refusal = /** @type {Refusal} */ (error);
      const current = /** @type {Call | undefined} */ (/** @type {unknown} */ (refusal.current));
      const where = page.call.hidden ? page.trouble : page.callTrouble;
      showWords(where, current?.parties ? conflictWith(current, this.#room.userId) : refusedCall(refusal));
    }
  }

  /** Tells of a call that rings, and of the end of the ringing. @param {string} userId */
  #ring(userId) {
    ring(userId !== "");
    setTitle({ ringing: userId && `${plainlyIsolated(userId)} is calling` });
    const { call } = this.#calls;
    page.callAlert.replaceChildren(...(userId && call ? [isolated(userId), ` is calling. ${kindOf(call)}.`] : []));
    const isWriting = document.activeElement?.matches(WRITING);
    if (userId && !isWriting) page.call.focus();
  }

  #show() {
    const { state, call } = this.#calls;
    if (state === "interrupted" && call && call.callId !== this.#returned) {
      this.#returned = call.callId;
      return void this.#report(this.#calls.join(keptWanted()));
    }
    const isIn = state === "joined" || state === "joining";
    if (state !== "none") this.#told = "";
    const hadFocus = page.call.contains(document.activeElement);
    page.call.hidden = state === "none" && !this.#told;
    page.call.dataset.state = state;
    const isUnavailable = state !== "none";
    page.callButton.hidden = page.callAudio.disabled = page.callVideo.disabled = isUnavailable;
    page.callAnswer.hidden = !["ringing", "ongoing", "interrupted"].includes(state);
    page.callDecline.hidden = state !== "ringing";
    page.callAccept.textContent = state === "ringing" ? "Answer" : "Join";
    page.callControls.hidden = !isIn;
    page.callTitle.replaceChildren(...this.#title());
    if (!isIn) {
      this.#enlarge(false);
      page.callSound.hidden = true;
    }
    this.#tiles.show();
    this.#showMedia();
    this.#tick();
    if (hadFocus && (page.call.hidden || !isIn) && !page.call.contains(visibleFocus())) page.text.focus();
  }

  /** @returns {(Node | string)[]} */
  #title() {
    const { state, call } = this.#calls;
    if (!call || this.#told) return [this.#told];
    if (state === "ringing") return [avatar(call.startedBy), isolated(call.startedBy), call.media === "video" ? " is calling, with video" : " is calling"];
    if (state === "elsewhere") return ["You are in this call in another tab or on another device."];
    if (state === "joining" || state === "joined") return [kindOf(call)];
    const names = call.parties.map(({ userId }) => plainlyIsolated(userId));
    return [`${listed(names)} ${names.length === 1 ? "is" : "are"} in a call`];
  }

  #showParties() {
    const { parties, state } = this.#calls;
    const now = new Map([...parties].map(([partyId, { userId }]) => [partyId, userId]));
    const came = [...now].filter(([partyId]) => !this.#present.has(partyId)).map(([, userId]) => userId);
    const left = [...this.#present].filter(([partyId]) => !now.has(partyId)).map(([, userId]) => userId);
    this.#present = now;
    this.#departed = now.size > 0 ? "" : (left.at(-1) ?? this.#departed);
    if (state === "joined" && came.length > 0) this.#announce(`${listed(came)} joined the call.`);
    if (state === "joined" && left.length > 0) this.#announce(`${listed(left)} left the call.`);
    this.#tiles.show();
    this.#tick();
  }

  #showMedia() {
    const { sends, troubles, state } = this.#calls;
    press(page.callMute, sends.audio, "Mute", "Unmute");
    press(page.callCamera, sends.video && !sends.screen, "Turn the camera off", "Turn the camera on");
    press(page.callScreen, sends.screen, "Stop sharing your screen", "Share your screen");
    const text = state === "joined" || state === "joining" ? troubledDevices(troubles) : "";
    showWords(page.callTrouble, text ? { text, detail: "" } : null);
    this.#tiles.show();
    if (state === "joined") keepWanted({ audio: sends.audio, video: sends.video && !sends.screen });
  }

  #tick() {
    if (page.call.hidden) return;
    const isOver = this.#calls.state === "none";
    page.callLine.replaceChildren(...(isOver ? [] : lineOf(this.#calls, this.#departed, Date.now())));
  }

  /** @param {CallEvents["ended"]} ended */
  #tellEnd(ended) {
    this.#departed = "";
    this.#present.clear();
    this.#announce(endOf(ended));
    if (this.#calls.state !== "none" && ended.reason === "hungUp") return;
    this.#told = endOf(ended);
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => {
      this.#told = "";
      this.#show();
    }, TOLD_MS);
    this.#show();
  }

  /** @param {string} news */
  #announce(news) {
    page.callNews.textContent = news;
  }

  /** @param {boolean} on */
  #enlarge(on) {
    page.chat.classList.toggle("with-large-call", on);
    press(page.callEnlarge, on, "Show the conversation", "Large view");
  }
}

/** Shows the state of a button, and names the change that it makes. @param {HTMLButtonElement} button @param {boolean} on @param {string} whenOn @param {string} whenOff */
function press(button, on, whenOn, whenOff) {
  button.classList.toggle("on", on);
  button.ariaLabel = button.title = on ? whenOn : whenOff;
}

/** Returns the focused element, if it can be seen. */
function visibleFocus() {
  const { activeElement } = document;
  return activeElement?.checkVisibility() ? activeElement : null;
}

/** @param {Wanted} wanted */
function keepWanted(wanted) {
  try {
    sessionStorage.setItem(WANTED_KEY, JSON.stringify(wanted));
  } catch {
    // The browser's settings forbid it: a reload comes back with the microphone.
  }
}

/** @returns {Wanted} */
function keptWanted() {
  try {
    return JSON.parse(sessionStorage.getItem(WANTED_KEY) ?? '{ "audio": true }');
  } catch {
    return { audio: true };
  }
}
