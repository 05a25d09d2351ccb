import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, Message, SendMessage, ServerToClientEvents } from "./parlor.d.ts";

type ChatSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

const socket: ChatSocket = io("http://localhost:3000", { auth: { userId: "typescript" } });
const roomId = "lobby";
const hello: SendMessage = { roomId, message: "hello from typescript", clientMessageId: crypto.randomUUID() };
const outbox = new Set([hello]);
let lastSeq = 0;

socket.on("connect", () => {
  // After a reconnect, lastSeq asks for just what was missed.
  socket.emit("joinRoom", { roomId, lastSeq }, (room) => {
    if (room.status === "error") return console.error(room.error);
    room.messages.forEach(show);
    outbox.forEach(send);
  });
});
socket.on("connect_error", console.error);
// Only the next one: what a broken connection left over may come before what was missed, and comes again with that.
socket.on("newMessage", (message) => message.seq === lastSeq + 1 && show(message));

function send(message: SendMessage) {
  // Without an answer it is sent again after the next join; its clientMessageId has it stored once.
  socket.emit("sendMessage", message, (sent) => {
    if (sent.status === "error") console.error(sent.error);
    if (sent.status === "ok" || !sent.error.retryable) outbox.delete(message);
  });
}

function show({ seq, userId, message }: Message) {
  if (seq <= lastSeq) return;
  lastSeq = seq;
  console.log(`${userId}: ${message}`);
}
