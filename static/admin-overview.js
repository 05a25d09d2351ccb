/**
 * The overview: totals, rooms, servers, webhooks.
 *
 * @import { BusyRoom, Node, Overview, Receiver } from "./admin-api.js"
 */

import { page } from "./admin-page.js";
import { Course, Rates } from "./admin-rates.js";
import { ago, count, fill, linkTo, rate, row, span, state } from "./admin-show.js";
import { element } from "./text.js";

/** Databases, and ways between servers. @type {Record<string, string>} */
const ENGINES = { postgres: "Postgres", redis: "Redis", sqlite: "SQLite" };

const stored = new Rates();
const inRooms = new Rates();
const connections = new Course();
const messages = new Course();

/** Shows an overview. @param {Overview} overview */
export function showOverview(overview) {
  const at = Date.parse(overview.at);
  stored.note(at, overview.nodes.flatMap(({ id, figures }) => (figures ? [/** @type {[string, number]} */ ([id, figures.messages])] : [])));
  inRooms.note(at, overview.rooms.map(({ roomId, lastSeq }) => [roomId, lastSeq]));
  connections.note(overview.totals.connections);
  messages.note(messageRate(overview));
  showTotals(overview);
  showRooms(overview.rooms);
  showNodes(overview, at);
  showWebhooks(overview.webhooks, at);
}

/** @param {Overview} overview */
const messageRate = ({ nodes }) => nodes.reduce((sum, { id }) => sum + stored.of(id), 0);

/** @param {Overview} overview */
function showTotals({ totals, nodeCount, nodes, database, bus }) {
  const silent = nodes.filter(({ isSilent }) => isSilent).length;
  page.totals.replaceChildren(
    tile("Connections", count(totals.connections), connections.line()),
    tile("Messages/s", rate(nodes.reduce((sum, { id }) => sum + stored.of(id), 0)), messages.line()),
    tile("Present in rooms", count(totals.members), ""),
    tile("To be stored", count(totals.queueEntries), ""),
    tile("Servers", count(nodeCount), silent > 0 ? state("bad", `${silent} silent`) : state("good", "All answer")),
    tile("Database", ENGINES[database.kind], database.isWell ? state("good", "Well") : state("bad", "Not storing")),
    ...(bus.mode === "none" ? [] : [tile("Between servers", ENGINES[bus.mode], wayState(bus))]),
  );
}

/** @param {Overview["bus"]} bus */
const wayState = ({ isWell }) => (isWell ? state("good", "Well") : state("waiting", "May lose reports"));

/** @param {string} label @param {string} figure @param {Node | Element | string} below */
function tile(label, figure, below) {
  const kind = /\d/.test(figure) ? "figure" : "figure name";
  return element("div", "", element("dt", "", label), element("dd", kind, figure), element("dd", "below", /** @type {Element} */ (below)));
}

/** @param {BusyRoom[]} rooms */
function showRooms(rooms) {
  const shown = rooms.map((room) => ({ ...room, perMinute: rate(60 * inRooms.of(room.roomId)) }));
  fill(page.rooms.tBodies[0], shown, ({ roomId }) => roomId, ({ roomId, members, lastSeq, perMinute }) =>
    row(page.rooms, [linkTo("room", roomId), count(members), perMinute, lastSeq ? `#${lastSeq}` : "–"]),
  );
  page.rooms.hidden = rooms.length === 0;
  page.noRooms.hidden = rooms.length > 0;
}

/** @param {Overview} overview @param {number} now */
function showNodes({ nodes, nodeCount }, now) {
  const shown = nodes.map((node, place) => ({ node, isAsked: place === 0, perSecond: rate(stored.of(node.id)), up: upOf(node, now) }));
  fill(page.nodes.tBodies[0], shown, ({ node }) => node.id, ({ node, isAsked, perSecond, up }) => {
    const { figures } = node;
    const name = element("span", "", element("code", "", node.id.slice(-8)), ...(isAsked ? [" ", element("span", "tag", "answers here")] : []));
    if (!figures) return row(page.nodes, [name, stateOf(node), ...Array(7).fill("–")]);
    const { pool, queue } = figures;
    const people = count(figures.connections) + (figures.streams ? ` + ${count(figures.streams)} streams` : "");
    const cells = [up, people, count(figures.rooms), perSecond, count(queue.entries), `${pool.inUse} of ${pool.max}`, figures.version];
    return row(page.nodes, [name, stateOf(node), ...cells]);
  });
  page.moreNodes.hidden = nodeCount <= nodes.length;
  page.moreNodes.textContent = `And ${count(nodeCount - nodes.length)} more.`;
}

/** @param {Node} node @param {number} now */
const upOf = ({ figures }, now) => (figures ? span(now - Date.parse(figures.startedAt)) : "–");

/** @param {Node} node */
function stateOf({ figures }) {
  if (!figures) return state("bad", "Silent");
  if (!figures.isStoring) return state("bad", "Not storing");
  return figures.isBusWell ? state("good", "Well") : state("waiting", "May miss reports");
}

/** @param {Receiver[] | undefined} receivers @param {number} now */
function showWebhooks(receivers, now) {
  const shown = (receivers ?? []).map((receiver, place) => ({ receiver, place, oldest: receiver.oldest ? ago(receiver.oldest, now) : "–", failed: receiver.failedAt ? ago(receiver.failedAt, now) : "" }));
  fill(page.webhooks.tBodies[0], shown, ({ receiver, place }) => `${place} ${receiver.url}`, ({ receiver, oldest, failed }) => {
    const why = receiver.offBecause ?? receiver.lastError;
    const error = why ? element("span", "", why, ...(failed ? [element("small", "muted", failed)] : [])) : "–";
    const waiting = receiver.events ? `${count(receiver.events)} in ${count(receiver.rooms)} ${receiver.rooms === 1 ? "room" : "rooms"}` : "0";
    return row(page.webhooks, [receiver.url, receiverState(receiver), waiting, oldest, error]);
  });
  page.webhooks.hidden = shown.length === 0;
  page.noWebhooks.hidden = shown.length > 0;
  page.noWebhooks.textContent = receivers ? "No program receives webhooks." : "The database does not tell right now.";
}

/** @param {Receiver} receiver */
function receiverState({ isOff, failedAt, succeededAt }) {
  if (isOff) return state("bad", "Off");
  const isFailing = failedAt !== undefined && (succeededAt === undefined || failedAt > succeededAt);
  return isFailing ? state("waiting", "Failing") : state("good", "Well");
}
