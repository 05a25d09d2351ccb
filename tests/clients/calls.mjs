/** People in calls, for the scripts `page_call*.mjs`. */

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { ARGUMENTS } from "./browser.mjs";
import { DEADLINE_MS } from "./harness.mjs";
import { Visitor } from "./page.mjs";

/** Chromium with a camera and a microphone that need no permission, a screen that is chosen at once, and connections on this machine. */
export const CALLS = {
  args: [
    ...ARGUMENTS,
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
  ],
};

/** The pause between two looks at a page's connections. */
const POLL_MS = 100;

/** A small picture: the tests run several pages on few cores. */
export const VIDEO = { width: 160, height: 120, frameRate: 10 };

/**
 * Makes the script that records a page's connections, before the page's own scripts run.
 * @param configuration changes that of the connections
 * @param video the constraints of the camera
 */
export const recording = (configuration = {}, video = VIDEO) => ({ content: `(${record})(${JSON.stringify({ configuration, video })})` });

function record({ configuration, video }) {
  const connections = [];
  window.connections = connections;
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(own) {
      super({ ...own, ...configuration });
      connections.push(this);
    }
  };
  const { mediaDevices } = navigator;
  const getUserMedia = mediaDevices?.getUserMedia.bind(mediaDevices);
  if (mediaDevices) mediaDevices.getUserMedia = (wanted) => getUserMedia({ ...wanted, ...(wanted.video && { video }) });

  /** Counts the decoded frames and the energy of the sound of a stream. */
  window.countMedia = async (stream) => {
    const tracks = stream?.getTracks().map(({ id }) => id) ?? [];
    const reports = await Promise.all(connections.map((connection) => connection.getStats()));
    const entries = reports.flatMap((report) => [...report.values()]);
    const received = entries.filter(({ type, trackIdentifier }) => type === "inbound-rtp" && tracks.includes(trackIdentifier));
    const sum = (field) => received.reduce((total, entry) => total + (entry[field] ?? 0), 0);
    return [sum("framesDecoded"), sum("totalAudioEnergy")];
  };

  /** The same, of the stream on somebody's tile. */
  window.countTile = (name) => {
    const tile = [...document.querySelectorAll(".tile:not(.own)")].find((one) => one.querySelector("bdi").textContent === name);
    return window.countMedia(tile?.querySelector("video").srcObject);
  };
}

/** A visitor who calls. */
export class Caller extends Visitor {
  /** Opens the page of a server and enters the room. */
  static async at(t, browser, server, name, room, { configuration, ...options } = {}) {
    return this.join(t, browser, name, room, { base: `${server}/`, init: recording(configuration), ...options });
  }

  /** Presses a button by its name. */
  async press(name) {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  /** Waits until a call rings. */
  async rings(caller) {
    await this.sees("#call-title", `${caller} is calling`);
  }

  /** Waits until no call is on the page. */
  async quiet() {
    await this.page.locator("#call").waitFor({ state: "hidden" });
  }

  /** Calls everybody with video, and waits until each of the others has answered. */
  async calls(...others) {
    await this.press("Video call");
    for (const other of others) {
      const ringing = other === others[0];
      if (ringing) await other.rings(this.name);
      else await other.sees("#call-title", "in a call");
      await other.press("With video");
      await other.sees("#call-title", "Video call");
    }
  }

  /** Waits until new pictures and new sound of somebody arrive; without `sound`, pictures alone. */
  async receives(name, { sound = true } = {}) {
    const counts = () => this.page.evaluate((who) => window.countTile(who), name);
    const [frames, energy] = await counts();
    const end = Date.now() + DEADLINE_MS;
    for (let now; ; await setTimeout(POLL_MS)) {
      now = await counts();
      if (now[0] > frames && (!sound || now[1] > energy)) return;
      const panel = await this.page.locator("#call").innerText();
      assert.ok(Date.now() < end, `${this.name} receives of ${name} ${now}, after ${[frames, energy]}\n${panel}`);
    }
  }
}

/** Waits until everybody receives everybody else. */
export async function allReceive(callers) {
  await Promise.all(callers.flatMap((one) => callers.filter((other) => other !== one).map((other) => one.receives(other.name))));
}
