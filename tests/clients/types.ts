/** Uses of `static/parlor.d.ts`, allowed and forbidden: checked by `tsc`, never run. */

import { io, type Socket } from "socket.io-client";
import type {
  Ack,
  ClientToServerEvents,
  Created,
  ErrorCode,
  Failure,
  HistoryPage,
  Joined,
  Left,
  Message,
  Presence,
  Refreshed,
  RoomChanged,
  RoomInfo,
  Sent,
  ServerToClientEvents,
  UserTyping,
} from "../../static/parlor.d.ts";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
const roomId = "lobby";
const message = "hello";

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>) => {};

export async function answers(lastSeq: number | undefined) {
  const joined = await socket.emitWithAck("joinRoom", { roomId, lastSeq });
  same<typeof joined, Ack<Joined>>(true);
  const left = await socket.emitWithAck("leaveRoom", { roomId });
  same<typeof left, Ack<Left>>(true);
  const sent = await socket.emitWithAck("sendMessage", { roomId, message });
  same<typeof sent, Ack<Sent>>(true);
  const page = await socket.emitWithAck("getHistory", { roomId, beforeSeq: 9, limit: 10 });
  same<typeof page, Ack<HistoryPage>>(true);
  const refreshed = await socket.emitWithAck("refreshAuth", { token: "…" });
  same<typeof refreshed, Ack<Refreshed>>(true);

  // @ts-expect-error: a failure has no message
  console.log(sent.message);
  if (sent.status === "ok") return same<typeof sent.message, Message>(true);
  same<typeof sent, Failure>(true);
  same<typeof sent.error.code, ErrorCode>(true);
  same<typeof sent.error.retryAfterMs, number | undefined>(true);
  // @ts-expect-error: no such code
  return sent.error.code === "NOT_IN_THE_ROOM";
}

export async function rooms() {
  const created = await socket.emitWithAck("createRoom", { roomId, title: "Tea", access: "members", members: ["bob"] });
  same<typeof created, Ack<Created, RoomInfo>>(true);
  if (created.status === "error") return same<typeof created.error.current, RoomInfo | undefined>(true);
  same<typeof created.room.access, "open" | "members">(true);
  const page = await socket.emitWithAck("getMembers", { roomId, cursor: null });
  if (page.status === "ok") same<(typeof page.members)[0]["role"], "member" | "moderator" | "owner">(true);
  // @ts-expect-error: no such role
  socket.emit("addMember", { roomId, userId: "bob", role: "guest" }, () => {});
  // @ts-expect-error: no such access
  socket.emit("setRoom", { roomId, access: "closed" }, () => {});
}

export function emits() {
  socket.emit("joinRoom", { roomId, userId: "ann", limit: 200 }, (answer) => same<typeof answer, Ack<Joined>>(true));
  socket.volatile.emit("typing", { roomId, isTyping: false });
  socket.timeout(1_000).emit("sendMessage", { roomId, message, clientMessageId: "1" }, (late, answer) => {
    same<typeof late, Error>(true);
    same<typeof answer, Ack<Sent>>(true);
  });
  socket.emit("getHistory", { roomId }, (answer) => same<typeof answer, Ack<HistoryPage>>(true));
  socket.emit("getHistory", { roomId, afterSeq: 0 }, () => {});
}

export function hears() {
  socket.on("newMessage", (heard) => same<typeof heard, Message>(true));
  socket.on("presence", (presence) => same<typeof presence, Presence>(true));
  socket.on("typing", (typing) => same<typeof typing, UserTyping>(true));
  socket.on("history", (joined) => same<typeof joined, Joined>(true));
  socket.on("roomChanged", (changed) => same<typeof changed, RoomChanged>(true));
  socket.on("removed", ({ reason }) => same<typeof reason, "removed" | "notMember">(true));
  socket.on("error", ({ event, error }) => same<[typeof event, typeof error.retryable], [string, boolean]>(true));
  // @ts-expect-error: the server emits no such event
  socket.on("newMesage", () => {});
  // @ts-expect-error: a message's text is called message
  socket.on("newMessage", ({ text }) => text);
}

export function mistakes() {
  // @ts-expect-error: no such event
  socket.emitWithAck("joinroom", { roomId });
  // @ts-expect-error: no payload
  socket.emitWithAck("leaveRoom");
  // @ts-expect-error: no room
  socket.emitWithAck("joinRoom", {});
  // @ts-expect-error: no message
  socket.emitWithAck("sendMessage", { roomId });
  // @ts-expect-error: no message
  socket.timeout(1_000).emitWithAck("sendMessage", { roomId });
  // @ts-expect-error: no such field
  socket.emitWithAck("joinRoom", { roomId, lastSequence: 1 });
  // @ts-expect-error: a seq is a number
  socket.emitWithAck("joinRoom", { roomId, lastSeq: "1" });
  // @ts-expect-error: one direction only
  socket.emitWithAck("getHistory", { roomId, beforeSeq: 1, afterSeq: 1 });
  // @ts-expect-error: another event's payload
  socket.emit("typing", { roomId, message });
  // @ts-expect-error: the answer would reach nobody
  socket.emit("sendMessage", { roomId, message });
  // @ts-expect-error: a failed join has no messages
  socket.emit("joinRoom", { roomId }, ({ messages }) => messages);
}
