const { randomUUID } = require("crypto");
const { createInterface } = require("readline");
const io = require("socket.io-client"); // 2.x

const socket = io(process.env.PARLOR_URL || "http://localhost:3000");
const roomId = "lobby";
const ahead = new Map(); // messages that came before those before them
const outbox = []; // the first one is sent until it has its answer, the others wait
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
say("hello from old");

function join() {
  // Its handshake carries no auth, so the join says who this is. After a reconnect, lastSeq asks for just what was missed.
  socket.emit("joinRoom", { roomId, userId: "old", lastSeq }, ({ error, messages, hasMore }) => {
    if (error) return refused(error);
    if (hasMore && lastSeq > 0) catchUp();
    else messages.forEach(show);
    sending = false;
    send();
  });
}

function catchUp() {
  ahead.clear(); // The answer has them, and what it passes over does not exist.
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
  // Without an answer, or refused for now, it is sent again after a join; its clientMessageId has it stored once.
  socket.emit("sendMessage", first, ({ error }) => {
    if (error && refused(error)) return;
    if (outbox[0] === first) outbox.shift();
    sending = false;
    send();
  });
}

// Whether it was for now.
function refused(error) {
  console.error(error);
  const isForNow = error.retryable || error.code === "NOT_IN_ROOM";
  if (isForNow) setTimeout(join, error.retryAfterMs || 1000);
  return isForNow;
}
