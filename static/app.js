/**
 * A plain chat page: join one room, see its messages, send some.
 *
 * Nothing gets lost or doubled, because a message has a `seq` (1, 2, 3, … in its room) and a send
 * has a `clientMessageId`. After each reconnect the page asks for what follows the last `seq` up
 * to which it has everything, and repeats the sends that were not acked.
 */

/** Longer than the server's own default limit for a send (15 s), so that its answer wins. */
const ACK_TIMEOUT_MS = 20_000;
const RETRY_MS = 1_000;
const TYPING_REPEAT_MS = 2_000;
const TYPING_EXPIRES_MS = 5_000;
/** Largest page that the server gives. */
const GAP_PAGE = 200;
/** So near its end, in pixels, the list counts as read to the end and follows new messages. */
const PINNED_PX = 40;

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));

const saved = openStorage();

/** The room that the page is in or on its way into; `null` while the entry form waits. */
let chat = null;
let pinned = true;

function enter(userId, roomId) {
  const socket = io({ auth: { userId } });
  chat = {
    ...{ socket, userId, roomId, joined: false, outbox: [], sending: false },
    /** Every message up to this `seq` is known; `null` before the first join. */
    cursor: null,
    /** Each `seq` known beyond a gap after the cursor. */
    ahead: new Set(),
    ...{ members: new Set(), memberCount: 0, typists: new Map(), typingSentAt: 0 },
  };
  socket.on("connect", join);
  socket.on("connect_error", refused);
  socket.on("disconnect", disconnected);
  socket.on("newMessage", receive);
  socket.on("presence", changePresence);
  socket.on("typing", changeTyping);
  page.join.disabled = true;
  showError("");
  showStatus("Connecting…");
}

/** Goes back to the entry form, saying why if it was not the user's wish. */
function leave(reason = "") {
  chat.socket.off().disconnect();
  chat = null;
  history.replaceState(null, "");
  page.messages.replaceChildren();
  page.outbox.replaceChildren();
  page.typing.textContent = "";
  page.join.disabled = false;
  showChat(false);
  showStatus("");
  showError(reason);
}

// Connection

function refused(error) {
  const passing = /^(UNAVAILABLE|RATE_LIMITED)\b/.test(error.message);
  if (!chat.socket.active && !passing) return leave(error.message);
  showError("The server cannot be reached. Trying again.");
  reconnect();
}

function disconnected() {
  chat.joined = false;
  showStatus("Reconnecting…");
  reconnect();
}

/** The client comes back by itself after a broken connection, but not when the server closed it. */
function reconnect() {
  if (!chat.socket.active) later(() => chat.socket.connect(), RETRY_MS * (1 + Math.random()));
}

/**
 * Sends an event and hands on its ack; no answer in time counts as a retryable error.
 * A callback rather than a promise: it runs before the events that follow the ack on the wire.
 */
function ask(event, payload, answered) {
  const asker = chat;
  const noAnswer = { message: "No answer from the server. Trying again.", retryable: true };
  asker.socket.timeout(ACK_TIMEOUT_MS).emit(event, payload, (timedOut, answer) => {
    if (asker === chat) answered(timedOut ? { status: "error", error: noAnswer } : answer);
  });
}

/** Runs `action` after a while, unless the room was left until then. */
function later(action, ms = RETRY_MS) {
  const asker = chat;
  return setTimeout(() => asker === chat && action(), ms);
}

// Joining

function join() {
  if (!chat.socket.connected) return;
  ask("joinRoom", { roomId: chat.roomId, lastSeq: chat.cursor ?? undefined }, (answer) => {
    if (answer.status === "ok") return joined(answer);
    if (!answer.error.retryable) return leave(answer.error.message);
    showError(answer.error.message);
    later(join, answer.error.retryAfterMs);
  });
}

function joined({ userId, messages, lastSeq, members, memberCount }) {
  const first = chat.cursor === null;
  chat.cursor ??= messages.length > 0 ? messages[0].seq - 1 : lastSeq;
  Object.assign(chat, { userId, joined: true, members: new Set(members), memberCount });
  messages.forEach(receive);
  showMembers();
  showStatus("Connected");
  showError("");
  if (first) showChat(true);
  fillGap();
  flush();
}

/** Reads what a long absence left between the cursor and the messages that the join gave. */
function fillGap() {
  if (chat.ahead.size === 0 || !chat.joined) return;
  const from = { roomId: chat.roomId, afterSeq: chat.cursor, limit: GAP_PAGE };
  ask("getHistory", from, ({ status, messages, error }) => {
    if (status !== "ok") return error.retryable ? later(fillGap, error.retryAfterMs) : showError(error.message);
    messages.forEach(receive);
    if (messages.length > 0) fillGap();
  });
}

// Messages

function receive(message) {
  if (message.roomId !== chat.roomId) return;
  if (message.userId === chat.userId) settle(message.clientMessageId);
  if (message.seq <= chat.cursor || chat.ahead.has(message.seq)) return;
  chat.ahead.add(message.seq);
  while (chat.ahead.delete(chat.cursor + 1)) chat.cursor += 1;
  insert(messageItem(message));
  changeTyping({ ...message, isTyping: false });
}

/** Puts an item at its place by `seq`, which is nearly always the end. */
function insert(item) {
  let before = page.messages.lastElementChild;
  while (before && Number(before.dataset.seq) > Number(item.dataset.seq)) before = before.previousElementSibling;
  if (before) before.after(item);
  else page.messages.prepend(item);
  follow();
}

function messageItem({ seq, userId, operatorId, message, timestamp }) {
  const time = element("time", "when", formatTime(new Date(timestamp)));
  time.dateTime = timestamp;
  const by = element("div", "by");
  by.append(element("b", "", userId), operatorId ? element("span", "tag", "operator") : "", time);
  const item = element("li", userId === chat.userId ? "own" : "");
  item.dataset.seq = seq;
  item.append(by, element("div", "body", message));
  return item;
}

function formatTime(at) {
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], { timeStyle: "short", ...(today ? {} : { dateStyle: "medium" }) });
}

// Sending

function send(text) {
  const item = element("li", "");
  item.append(element("div", "by", "Sending…"), element("div", "body", text));
  chat.outbox.push({ clientMessageId: newId(), text, item });
  page.outbox.append(item);
  pinned = true;
  follow();
  flush();
}

/** Sends the oldest message without an ack. One at a time, so that a retry keeps the order. */
function flush() {
  const [next] = chat.outbox;
  if (!next || chat.sending || !chat.joined) return;
  const { clientMessageId, text } = next;
  chat.sending = true;
  ask("sendMessage", { roomId: chat.roomId, message: text, clientMessageId }, ({ status, message, error }) => {
    chat.sending = false;
    showError(error?.message ?? "");
    if (error?.retryable) return later(flush, error.retryAfterMs);
    if (status === "ok") receive(message);
    else page.text.value ||= text;
    settle(clientMessageId);
    flush();
  });
}

/** Takes a message out of the outbox, once the server has it or never will. */
function settle(clientMessageId) {
  const index = chat.outbox.findIndex((waiting) => waiting.clientMessageId === clientMessageId);
  if (index >= 0) chat.outbox.splice(index, 1)[0].item.remove();
}

/** `randomUUID` is missing on plain HTTP, which a page on a local network has. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Presence and typing

function changePresence({ roomId, joined, left, memberCount }) {
  if (roomId !== chat.roomId) return;
  joined.forEach((userId) => chat.members.add(userId));
  left.forEach((userId) => chat.members.delete(userId));
  chat.memberCount = memberCount;
  showMembers();
}

/** Names the members only while they are all known: in a big room presence is just a number. */
function showMembers() {
  const complete = chat.members.size === chat.memberCount;
  page.members.textContent = `${chat.memberCount} here` + (complete ? `: ${[...chat.members].join(", ")}` : "");
}

function changeTyping({ roomId, userId, isTyping }) {
  if (roomId !== chat.roomId) return;
  clearTimeout(chat.typists.get(userId));
  chat.typists.delete(userId);
  const expire = () => changeTyping({ roomId, userId, isTyping: false });
  if (isTyping) chat.typists.set(userId, later(expire, TYPING_EXPIRES_MS));
  const names = [...chat.typists.keys()].join(", ");
  page.typing.textContent = names && `Typing: ${names}…`;
}

function sendTyping() {
  const isTyping = page.text.value.trim() !== "";
  const due = isTyping ? Date.now() - chat.typingSentAt > TYPING_REPEAT_MS : chat.typingSentAt > 0;
  if (!due || !chat.joined) return;
  chat.typingSentAt = isTyping ? Date.now() : 0;
  chat.socket.volatile.emit("typing", { roomId: chat.roomId, isTyping });
}

// The page

/** The browser's settings can forbid storage: then the name is not remembered. */
function openStorage() {
  try {
    return window.localStorage ?? {};
  } catch {
    return {};
  }
}

function element(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function showStatus(text) {
  page.status.textContent = text;
  page.status.dataset.online = chat?.joined ?? false;
}

function showError(message) {
  page.error.textContent = message;
  page.error.hidden = message === "";
}

function showChat(inside) {
  page.entry.hidden = inside;
  for (const part of [page.chat, page.members, page.leave]) part.hidden = !inside;
  page.title.textContent = inside ? chat.roomId : "Parlor";
  document.title = inside ? `${chat.roomId} · Parlor` : "Parlor";
  follow();
  (inside ? page.text : page.name).focus();
}

/** Keeps the newest message in view, unless the reader has scrolled up. */
function follow() {
  requestAnimationFrame(() => pinned && page.scroll.scrollTo(0, page.scroll.scrollHeight));
}

page.scroll.addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = page.scroll;
  pinned = scrollHeight - scrollTop - clientHeight < PINNED_PX;
});

new ResizeObserver(follow).observe(page.scroll);

page.entry.addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, room] = [page.name.value.trim(), page.room.value.trim()];
  if (chat || !name || !room) return;
  saved.parlorName = name;
  history.replaceState({ name }, "", `?${new URLSearchParams({ room })}`);
  enter(name, room);
});

page.compose.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = page.text.value;
  if (text.trim() === "") return;
  page.text.value = "";
  sendTyping();
  send(text);
});

page.text.addEventListener("input", sendTyping);
page.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  page.compose.requestSubmit();
});

page.leave.addEventListener("click", () => leave());

/** Fills the form in. A reload keeps the history entry's state, so it goes straight back in. */
function start() {
  if (!window.io) return showError("The page is incomplete: /socket.io/socket.io.js did not load.");
  page.room.value = new URLSearchParams(location.search).get("room") ?? "lobby";
  page.name.value = history.state?.name ?? saved.parlorName ?? "";
  if (history.state?.name) return page.entry.requestSubmit();
  page.name.focus();
}

start();
