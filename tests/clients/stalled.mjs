/**
 * A stock client that joins at every connection, and reads on when it has missed a lot: `node stalled.mjs URL
 * polling|websocket|upgrade`.
 *
 * Prints "joined" after each join, and each message's `seq`. The Rust side stops this process for a while, and ends it.
 */

import { next, open, transport } from "./harness.mjs";

const roomId = "room";
const { socket } = open({ userId: "slow" }, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
let lastSeq = 0;

socket.on("connect", () => {
  socket.emit("joinRoom", { roomId, lastSeq }, ({ messages, hasMore }) => {
    if (hasMore) readOn();
    else messages.forEach(show);
    upgraded(socket.io).then(() => console.log("joined"));
  });
});
socket.on("newMessage", (message) => message.seq === lastSeq + 1 && show(message));

async function upgraded({ engine }) {
  if (transport === "upgrade" && engine.transport.name === "polling") await next(engine, "upgrade");
}

/** Reads up to the newest message. A message skipped before a page's answer is in the next page. */
function readOn() {
  socket.emit("getHistory", { roomId, afterSeq: lastSeq, limit: 200 }, ({ messages }) => {
    messages.forEach(show);
    if (messages.length > 0) readOn();
  });
}

function show({ seq }) {
  if (seq <= lastSeq) return;
  lastSeq = seq;
  console.log(seq);
}
