import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const socket = io(process.env.PARLOR_URL ?? "http://localhost:3000", { auth: { userId: "node" } });
const roomId = "lobby";
const ahead = new Map(); // messages received ahead of earlier ones
const outbox = []; // the first message is sent until it is answered, the others wait
let lastSeq = 0;
let sending = false;

socket.on("connect", join);
socket.on("connect_error", console.error);
socket.on("newMessage", (message) => {
  if (message.seq === lastSeq + 1) return show(message);
  ahead.set(message.seq, message);
  setTimeout(() => ahead.size > 0 && catchUp(), 1000);
});
createInterface({ input: process.stdin }).on("line", say);
say("hello from node");

function join() {
  // After a reconnect, lastSeq requests only the missed messages.
  socket.emit("joinRoom", { roomId, lastSeq }, ({ error, messages, hasMore }) => {
    if (error) return refused(error);
    if (hasMore && lastSeq > 0) catchUp();
    else messages.forEach(show);
    sending = false;
    send();
  });
}

function catchUp() {
  ahead.clear(); // The answer includes them. A skipped seq does not exist.
  socket.emit("getHistory", { roomId, afterSeq: lastSeq }, ({ error, messages, hasMore }) => {
    if (error) return refused(error);
    messages.forEach(show);
    if (hasMore) catchUp();
  });
}

function show({ seq, userId, message }) {
  ahead.delete(seq);
  if (seq <= lastSeq) return;
  lastSeq = seq;
  console.log(`${userId}: ${message}`);
  if (ahead.has(seq + 1)) show(ahead.get(seq + 1));
}

function say(message) {
  outbox.push({ roomId, message, clientMessageId: randomUUID() });
  send();
}

function send() {
  if (sending || outbox.length === 0 || !socket.connected) return;
  sending = true;
  const [first] = outbox;
  socket.timeout(20_000).emit("sendMessage", first, (noAnswer, answer) => {
    const error = noAnswer ?? answer.error;
    // It is sent again after a join; the clientMessageId keeps it from being stored twice.
    if (error && refused(error)) return;
    if (outbox[0] === first) outbox.shift();
    sending = false;
    send();
  });
}

// Returns true for a temporary refusal: no answer, or a retryable one.
function refused(error) {
  console.error(error);
  const isForNow = !error.code || error.retryable || error.code === "NOT_IN_ROOM";
  if (isForNow) setTimeout(join, error.retryAfterMs ?? 1000);
  return isForNow;
}
