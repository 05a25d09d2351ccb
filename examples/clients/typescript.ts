import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ErrorBody, Message, SendMessage, ServerToClientEvents } from "./parlor.d.ts";

type ChatSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

const socket: ChatSocket = io("http://localhost:3000", { auth: { userId: "typescript" } });
const roomId = "lobby";
const NO_ANSWER: ErrorBody = { code: "UNAVAILABLE", message: "no answer", retryable: true };
const ahead = new Map<number, Message>(); // messages received ahead of earlier ones
const outbox: SendMessage[] = []; // the first message is sent until it is answered, the others wait
let lastSeq = 0;
let sending = false;

socket.on("connect", join);
socket.on("connect_error", console.error);
socket.on("newMessage", (message) => {
  if (message.seq === lastSeq + 1) return show(message);
  ahead.set(message.seq, message);
  setTimeout(() => ahead.size > 0 && catchUp(), 1000);
});
say("hello from typescript");

function join() {
  // After a reconnect, lastSeq requests only the missed messages.
  socket.emit("joinRoom", { roomId, lastSeq }, (room) => {
    if (room.status === "error") return refused(room.error);
    if (room.hasMore && lastSeq > 0) catchUp();
    else room.messages.forEach(show);
    sending = false;
    send();
  });
}

function catchUp() {
  ahead.clear(); // The answer includes them. A skipped seq does not exist.
  socket.emit("getHistory", { roomId, afterSeq: lastSeq }, (page) => {
    if (page.status === "error") return refused(page.error);
    page.messages.forEach(show);
    if (page.hasMore) catchUp();
  });
}

function show({ seq, userId, message }: Message) {
  ahead.delete(seq);
  if (seq <= lastSeq) return;
  lastSeq = seq;
  console.log(`${userId}: ${message}`);
  const next = ahead.get(seq + 1);
  if (next) show(next);
}

export function say(message: string) {
  outbox.push({ roomId, message, clientMessageId: crypto.randomUUID() });
  send();
}

function send() {
  const [first] = outbox;
  if (sending || !first || !socket.connected) return;
  sending = true;
  socket.timeout(20_000).emit("sendMessage", first, (noAnswer: Error | null, sent) => {
    // Unanswered or refused for now, it is sent again after a join; the clientMessageId keeps it from being stored twice.
    if (noAnswer ? refused(NO_ANSWER) : sent.status === "error" && refused(sent.error)) return;
    if (outbox[0] === first) outbox.shift();
    sending = false;
    send();
  });
}

// Returns true for a temporary refusal.
function refused(error: ErrorBody) {
  console.error(error);
  const isForNow = error.retryable || error.code === "NOT_IN_ROOM";
  if (isForNow) setTimeout(join, error.retryAfterMs ?? 1000);
  return isForNow;
}
