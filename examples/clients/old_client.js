const { randomUUID } = require("crypto");
const io = require("socket.io-client"); // 2.x

const socket = io(process.env.PARLOR_URL || "http://localhost:3000");
const roomId = "lobby";
const outbox = new Set([{ roomId, message: "hello from old", clientMessageId: randomUUID() }]);
let lastSeq = 0;

socket.on("connect", () => {
  // Its handshake carries no auth, so the join says who this is.
  socket.emit("joinRoom", { roomId, userId: "old", lastSeq }, ({ error, messages }) => {
    if (error) return console.error(error);
    messages.forEach(show);
    outbox.forEach(send);
  });
});
socket.on("connect_error", console.error);
// Only the next one: what a broken connection left over may come before what was missed, and comes again with that.
socket.on("newMessage", (message) => message.seq === lastSeq + 1 && show(message));

function send(message) {
  // Without an answer it is sent again after the next join; its clientMessageId has it stored once.
  socket.emit("sendMessage", message, ({ error }) => {
    if (error) console.error(error);
    if (!error || !error.retryable) outbox.delete(message);
  });
}

function show({ seq, userId, message }) {
  if (seq <= lastSeq) return;
  lastSeq = seq;
  console.log(`${userId}: ${message}`);
}
