/**
 * Parlor's wire contract in types, for any Socket.IO client:
 *
 *     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { userId: "ann" } });
 *
 * An identifier (a room's, a user's, a `clientMessageId`) has 1 to 128 bytes of UTF-8 and no control characters.
 * A `seq` is a message's place in its room: 1, 2, 3, …; 0 stands before the first.
 */

/** A message as the log holds it; the same for everyone and for ever. */
export interface Message {
  /** UUID of version 7. */
  id: string;
  /** The room it was said in. */
  roomId: string;
  /** Its place in the room: 1 or more, without gaps. */
  seq: number;
  /** Its author. */
  userId: string;
  /** The author again when speaking as an operator, else `null`. */
  operatorId: string | null;
  /** What it says: not blank, without NUL, at most 8,192 bytes of UTF-8 (a server's setting). */
  message: string;
  /** When the server took it: ISO 8601 in UTC with milliseconds, `2026-11-20T19:55:01.123Z`. */
  timestamp: string;
  /** The sender's own name for it, or `null`. */
  clientMessageId: string | null;
}

/** Enters a room, or asks it anew for what is missing. */
export interface JoinRoom {
  roomId: string;
  /** Who you are, if the handshake's `auth` did not say; it cannot change on a connection. */
  userId?: string | undefined;
  /** Without a `userId`, makes a guest an operator of this id. */
  operatorId?: string | undefined;
  /** The newest `seq` that you have: the answer holds only what came after it. */
  lastSeq?: number | undefined;
  /** The most messages to answer with: 50 when absent (a server's setting), never more than 200. */
  limit?: number | undefined;
}

/** The answer to a join: the history, and who is there. */
export interface Joined {
  roomId: string;
  /** Who you are on this connection; missing with `reset`, which goes to everyone in the room. */
  userId: string;
  /** Oldest first: the newest `limit`, or with `lastSeq` the newest `limit` after it. */
  messages: Message[];
  /** The room's newest `seq` (0 when it is empty); every `newMessage` from here on has a larger one. */
  lastSeq: number;
  /** Whether older messages (after the request's `lastSeq`, if given) were left out. */
  hasMore: boolean;
  /** The ids of users who are there, yours too; at most 200. */
  members: string[];
  /** How many users are there: users, not tabs. */
  memberCount: number;
  /** The room's log went back, as after a restore: forget its messages, these are the newest now. */
  reset?: true;
}

/** Leaves a room. */
export interface LeaveRoom {
  roomId: string;
}

/** The answer to a leave. */
export interface Left {
  roomId: string;
}

/** Says something in a room. */
export interface SendMessage {
  roomId: string;
  /** Not blank, without NUL, at most 8,192 bytes of UTF-8 (a server's setting). */
  message: string;
  /** Your own name for it, such as a UUID: a send repeated with it is stored and broadcast once. */
  clientMessageId?: string | undefined;
}

/** The answer to a send, given once the message is stored. */
export interface Sent {
  message: Message;
  /** Whether an earlier send with the same `clientMessageId` stored it. */
  duplicate: boolean;
}

/** Reads a part of a room's history: the newest messages, or those on one side of a `seq`. */
export type GetHistory = {
  roomId: string;
  /** The most messages to answer with: 50 when absent (a server's setting), never more than 200. */
  limit?: number | undefined;
} & (
  | {
      /** The newest messages older than this one. */
      beforeSeq?: number | undefined;
      afterSeq?: undefined;
    }
  | {
      /** The oldest messages newer than this one. */
      afterSeq?: number | undefined;
      beforeSeq?: undefined;
    }
);

/** A part of a room's history. */
export interface HistoryPage {
  /** Oldest first. */
  messages: Message[];
  /** Whether there are more in the direction asked for. */
  hasMore: boolean;
}

/** Says that you are typing, or have stopped. */
export interface Typing {
  roomId: string;
  isTyping: boolean;
}

/** Somebody else is typing, or has stopped; may be dropped on the way. */
export interface UserTyping {
  roomId: string;
  userId: string;
  isTyping: boolean;
}

/** Users came or went; changes in quick succession come together. */
export interface Presence {
  roomId: string;
  /** The ids of users who came; may name you; empty in a room of more than 200 members (a server's setting). */
  joined: string[];
  /** The ids of users who went; empty in a room of more than 200 members (a server's setting). */
  left: string[];
  /** How many users are there now. */
  memberCount: number;
}

/** Shows a newer token of the same user, before the older one is out of date; unknown to servers of guests. */
export interface RefreshAuth {
  token: string;
}

/** The answer to a newer token. */
export interface Refreshed {
  /** Until when it counts: ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
}

/** What an error is, for programs. */
export type ErrorCode =
  /** A field is missing or wrong; the message names it. */
  | "INVALID_PAYLOAD"
  /** The message is over the limit. */
  | "MESSAGE_TOO_LARGE"
  /** There is no such event. */
  | "UNKNOWN_EVENT"
  /** A send, typing, leave or history without having joined: join, then repeat it. */
  | "NOT_IN_ROOM"
  /** No token, or a bad one. */
  | "UNAUTHORIZED"
  /** The token is out of date. */
  | "TOKEN_EXPIRED"
  /** Not for this room, or another identity than before. */
  | "FORBIDDEN"
  /** Too fast; `retryAfterMs` says when to try again. Retryable. */
  | "RATE_LIMITED"
  /**
   * The database did not answer in time, or the server is stopping. Retryable: what was sent may be stored or not, so repeat it
   * with the same `clientMessageId`.
   */
  | "UNAVAILABLE"
  /** A bug; the message carries the id under which it is logged. */
  | "INTERNAL";

/** Why something failed. */
export interface ErrorBody {
  code: ErrorCode;
  /** For people. */
  message: string;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** How long to wait before that, in milliseconds. */
  retryAfterMs?: number;
}

/** The answer to a request that failed. */
export interface Failure {
  status: "error";
  error: ErrorBody;
}

/** The one object that every ack carries. */
export type Ack<T> = ({ status: "ok" } & T) | Failure;

/** A failure of a request that asked for no ack, or the end of a connection whose token is out of date. */
export interface EventError {
  /** The event that failed; `connect` when the token is out of date. */
  event: string;
  error: ErrorBody;
}

/** What the server emits. */
export interface ServerToClientEvents {
  /**
   * Something was said in a room you are in; in the order of `seq`, your own messages too. What a broken connection left
   * over may come before what was missed: show only the next one, and keep the others until those before them are there.
   */
  newMessage: (message: Message) => void;
  /** Users came or went. */
  presence: (presence: Presence) => void;
  /** Somebody else is typing, or has stopped. */
  typing: (typing: UserTyping) => void;
  /** The answer to a join that asked for no ack; with `reset`, what a room's log holds after it went back. */
  history: (joined: Joined) => void;
  /** A request that asked for no ack failed, or your token is out of date and the server disconnects you. */
  error: (failure: EventError) => void;
}

/**
 * What a client emits. Each event may go without an ack, and then failures come as `error`; but the stock client's types
 * know an answer only where the ack is required (`emitWithAck` turns an optional one into `any`), so here it is required
 * wherever the answer matters.
 */
export interface ClientToServerEvents {
  joinRoom: (payload: JoinRoom, ack: (answer: Ack<Joined>) => void) => void;
  leaveRoom: (payload: LeaveRoom, ack: (answer: Ack<Left>) => void) => void;
  sendMessage: (payload: SendMessage, ack: (answer: Ack<Sent>) => void) => void;
  getHistory: (payload: GetHistory, ack: (answer: Ack<HistoryPage>) => void) => void;
  typing: (payload: Typing) => void;
  refreshAuth: (payload: RefreshAuth, ack: (answer: Ack<Refreshed>) => void) => void;
}
