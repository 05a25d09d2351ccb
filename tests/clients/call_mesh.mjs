/**
 * Measures meshes of 2, 4 and 6 pages with fake devices: `node call_mesh.mjs URL [WIDTH HEIGHT FRAMES_PER_SECOND]`. Not a test.
 *
 * Each page has a browser of its own, whose processes' CPU time is counted. URL is a server's. For each mesh, it prints a line with the
 * mean of its pages: CPU in percent of one core, the sent and the received kilobits a second, and the received frames a second and
 * their height.
 */

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import test, { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { chromium } from "playwright-core";
import { browserFile } from "./browser.mjs";
import { CALLS, recording } from "./calls.mjs";

const [, , url, width = "640", height = "360", frameRate = "15"] = argv;
const VIDEO = { width: Number(width), height: Number(height), frameRate: Number(frameRate) };
/** The pictures of the film, which the fake camera repeats. */
const FILM_FRAMES = 60;
const WARM_UP_MS = 20_000;
const MEASURED_MS = 20_000;
/** The unit of /proc/PID/stat. */
const TICKS_A_SECOND = 100;

/**
 * Makes a film for the fake camera, whose own picture needs almost no bits: waves that move, and noise as of a camera in a room
 * (https://wiki.multimedia.cx/index.php/YUV4MPEG2).
 */
function makeFilm() {
  const { width, height, frameRate } = VIDEO;
  const frames = Array.from({ length: FILM_FRAMES }, (_, time) => {
    const frame = Buffer.alloc((width * height * 3) / 2, 128);
    const phase = (2 * Math.PI * time) / FILM_FRAMES;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const wave = 40 * Math.sin(x / 9 + phase) + 40 * Math.sin(y / 7 - x / 31 + 2 * phase);
        frame[y * width + x] = 125 + wave + 6 * Math.random();
      }
    }
    return [Buffer.from("FRAME\n"), frame];
  });
  const file = join(mkdtempSync(join(tmpdir(), "parlor-mesh-")), "film.y4m");
  writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F${frameRate}:1 Ip A1:1 C420\n`), ...frames.flat()]));
  return file;
}

const film = makeFilm();
after(() => rmSync(dirname(film), { recursive: true }));

/** Returns the CPU time of a process and all its descendants, in seconds. */
function cpuSeconds(root) {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((id) => {
    try {
      const fields = readFileSync(`/proc/${id}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
      return [{ id: Number(id), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
    } catch {
      // It has ended.
      return [];
    }
  });
  const within = new Set([root]);
  for (let size = 0; size !== within.size; ) {
    size = within.size;
    for (const { id, parent } of processes) if (within.has(parent)) within.add(id);
  }
  return processes.reduce((sum, { id, ticks }) => sum + (within.has(id) ? ticks : 0), 0) / TICKS_A_SECOND;
}

/** Opens the page in a browser of its own, and enters the room. */
async function enter(name, room) {
  const server = await chromium.launchServer({ executablePath: browserFile(), args: [...CALLS.args, `--use-file-for-fake-video-capture=${film}`] });
  const browser = await chromium.connect(server.wsEndpoint());
  const page = await browser.newPage();
  await page.addInitScript(recording({}, VIDEO));
  await page.goto(`${url}/?room=${room}`);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join" }).click();
  await page.locator("#text:enabled").waitFor();
  return { page, server, cpu: () => cpuSeconds(server.process().pid) };
}

/** Sums the counters of a page's connections. */
const counters = ({ page }) =>
  page.evaluate(async () => {
    const reports = await Promise.all(window.connections.map((connection) => connection.getStats()));
    const entries = reports.flatMap((report) => [...report.values()]);
    const sum = (type, field) => entries.reduce((total, entry) => total + (entry.type === type ? (entry[field] ?? 0) : 0), 0);
    const heights = entries.filter(({ type, kind }) => type === "inbound-rtp" && kind === "video").map(({ frameHeight }) => frameHeight ?? 0);
    return {
      sent: sum("outbound-rtp", "bytesSent"),
      received: sum("inbound-rtp", "bytesReceived"),
      frames: sum("inbound-rtp", "framesDecoded"),
      height: heights.reduce((a, b) => a + b, 0) / Math.max(heights.length, 1),
    };
  });

const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

for (const size of [2, 4, 6]) {
  test(`${size} pages`, async (t) => {
    const pages = [];
    t.after(() => Promise.all(pages.map(({ server }) => server.close())));
    for (let number = 0; number < size; number++) pages.push(await enter(`user ${number}`, `mesh-${size}`));
    await pages[0].page.getByRole("button", { name: "Video call", exact: true }).click();
    for (const { page } of pages.slice(1)) await page.getByRole("button", { name: "With video" }).click();
    await pause(WARM_UP_MS);
    const measure = async () => ({ at: Date.now(), cpu: pages.map(({ cpu }) => cpu()), counters: await Promise.all(pages.map(counters)) });
    const before = await measure();
    await pause(MEASURED_MS);
    const now = await measure();
    const seconds = (now.at - before.at) / 1_000;
    const rate = (field, place) => (now.counters[place][field] - before.counters[place][field]) / seconds;
    const places = pages.map((_, place) => place);
    const kilobits = (field) => Math.round(mean(places.map((place) => (8 * rate(field, place)) / 1_000)));
    const cpu = mean(places.map((place) => (100 * (now.cpu[place] - before.cpu[place])) / seconds));
    const frames = mean(places.map((place) => rate("frames", place) / (size - 1)));
    const heights = mean(now.counters.map(({ height }) => height));
    t.diagnostic(
      `${size} pages: CPU ${Math.round(cpu)} % of a core each, up ${kilobits("sent")} kbit/s, down ${kilobits("received")} kbit/s, ` +
        `${frames.toFixed(1)} frames a second of height ${Math.round(heights)}`,
    );
  });
}
