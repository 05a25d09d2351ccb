/**
 * Parlor's wire contract in types, for any Socket.IO client. `docs/protocol.md` of the project explains it.
 *
 *     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { userId: "ann" } });
 *
 * An identifier (of a room, a user, a `clientMessageId`) has 1 to 128 bytes of UTF-8 and no control characters.
 * A `seq` is a message's place in its room: 1, 2, 3, …; 0 stands before the first.
 */

/** A message in the log; the same for everyone and for ever. */
export interface Message {
  /** UUID of version 7. */
  id: string;
  /** The message's room. */
  roomId: string;
  /** Its place in the room: 1, 2, 3, …; missing numbers were removed from the database. */
  seq: number;
  /** Its author. */
  userId: string;
  /** The author again when speaking as an operator, else `null`. */
  operatorId: string | null;
  /** The text: not blank, without NUL, at most 8,192 bytes of UTF-8 (a server's setting). */
  message: string;
  /** The time of acceptance: ISO 8601 in UTC with milliseconds, `2026-11-20T19:55:01.123Z`. */
  timestamp: string;
  /** The sender's id for it, or `null`. */
  clientMessageId: string | null;
}

/** Joins a room, or joins it again for missing messages. */
export interface JoinRoom {
  roomId: string;
  /** Your user id, unless the handshake's `auth` named it; fixed for the connection. */
  userId?: string | undefined;
  /** Without a `userId`, makes a guest an operator with this id. */
  operatorId?: string | undefined;
  /** Your newest `seq`: the answer holds only later messages. */
  lastSeq?: number | undefined;
  /** The most messages in the answer: 50 when absent (a server's setting), never more than 200. */
  limit?: number | undefined;
}

/** The answer to a join: history and members. */
export interface Joined {
  roomId: string;
  /** Your user id on this connection; missing with `reset`, because that goes to everyone in the room. */
  userId: string;
  /** Oldest first: the newest `limit`, or with `lastSeq` the newest `limit` after it. */
  messages: Message[];
  /** The room's newest `seq` (0 when it is empty); every `newMessage` from here on has a larger one. */
  lastSeq: number;
  /** True if older messages (after the request's `lastSeq`, if given) were left out. */
  hasMore: boolean;
  /** The members' user ids, yours included; at most 200. */
  members: string[];
  /** The number of members: users, not tabs. */
  memberCount: number;
  /** The room's log went back, as after a restore: discard its messages, these are the newest. */
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

/** Sends a message to a room. */
export interface SendMessage {
  roomId: string;
  /** Not blank, without NUL, at most 8,192 bytes of UTF-8 (a server's setting). */
  message: string;
  /** Your id for it, such as a UUID: a repeated send is stored and broadcast once. */
  clientMessageId?: string | undefined;
}

/** The answer to a send, given once the message is stored. */
export interface Sent {
  message: Message;
  /** True if an earlier send with the same `clientMessageId` stored it. */
  duplicate: boolean;
}

/** Reads a page of a room's history: the newest messages, or the messages before or after a `seq`. */
export type GetHistory = {
  roomId: string;
  /** The most messages in the answer: 50 when absent (a server's setting), never more than 200. */
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

/** A page of a room's history. */
export interface HistoryPage {
  /** Oldest first. */
  messages: Message[];
  /** True if there are more in the requested direction. */
  hasMore: boolean;
}

/** Tells the room that you are typing, or have stopped. */
export interface Typing {
  roomId: string;
  isTyping: boolean;
}

/** Another user is typing, or has stopped; may be dropped on the way. */
export interface UserTyping {
  roomId: string;
  userId: string;
  isTyping: boolean;
}

/** Users came or went; rapid changes are combined. */
export interface Presence {
  roomId: string;
  /** The users who came; can include you; empty in a room of more than 200 members (a server's setting). */
  joined: string[];
  /** The users who left; empty in a room of more than 200 members (a server's setting). */
  left: string[];
  /** The number of members now. */
  memberCount: number;
}

/** Presents a newer token of the same user before the old one expires; an unknown event on servers for guests. */
export interface RefreshAuth {
  token: string;
}

/** The answer to a token refresh. */
export interface Refreshed {
  /** The token's expiry: ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
}

/** The kind of an error, for programs. */
export type ErrorCode =
  /** A field is missing or invalid; the message names it. */
  | "INVALID_PAYLOAD"
  /** The message exceeds the limit. */
  | "MESSAGE_TOO_LARGE"
  /** There is no such event. */
  | "UNKNOWN_EVENT"
  /** A send, typing, leave or history without a join: join, then repeat it. */
  | "NOT_IN_ROOM"
  /** A missing or invalid token. */
  | "UNAUTHORIZED"
  /** An expired token. */
  | "TOKEN_EXPIRED"
  /** Not permitted: the room, the number of rooms, another identity than before, or the origin. */
  | "FORBIDDEN"
  /** Too fast; wait for `retryAfterMs`. Retryable. */
  | "RATE_LIMITED"
  /**
   * The database did not answer in time, or the server is stopping. Retryable: a message may or may not be stored, so repeat it
   * with the same `clientMessageId`.
   */
  | "UNAVAILABLE"
  /** A bug; the message contains its id in the server's log. */
  | "INTERNAL";

/** The reason of a failure. */
export interface ErrorBody {
  code: ErrorCode;
  /** For people. */
  message: string;
  /** True if the same request may succeed later. */
  retryable: boolean;
  /** The time to wait before a retry, in milliseconds. */
  retryAfterMs?: number;
}

/** The answer to a failed request. */
export interface Failure {
  status: "error";
  error: ErrorBody;
}

/** The one object of every ack. */
export type Ack<T> = ({ status: "ok" } & T) | Failure;

/** A failed request without an ack, or the end of a connection with an expired token. */
export interface EventError {
  /** The failed event; `connect` for an expired token. */
  event: string;
  error: ErrorBody;
}

/** The server's events. */
export interface ServerToClientEvents {
  /**
   * A message in a joined room, in the order of `seq`, your own included. Leftovers of a broken connection may arrive before
   * missed messages: show only the next message, and hold back later ones until the earlier ones are there.
   */
  newMessage: (message: Message) => void;
  /** Users came or went. */
  presence: (presence: Presence) => void;
  /** Another user is typing, or has stopped. */
  typing: (typing: UserTyping) => void;
  /** The answer to a join without an ack; with `reset`, the content of a log that went back. */
  history: (joined: Joined) => void;
  /** A request without an ack failed, or your token expired and the server disconnects you. */
  error: (failure: EventError) => void;
}

/**
 * The client's events. The ack is optional on the wire, and failures without one arrive as `error`. Here it is required wherever
 * the answer matters, because the stock client's types know an answer only then: `emitWithAck` turns an optional one into `any`.
 */
export interface ClientToServerEvents {
  joinRoom: (payload: JoinRoom, ack: (answer: Ack<Joined>) => void) => void;
  leaveRoom: (payload: LeaveRoom, ack: (answer: Ack<Left>) => void) => void;
  sendMessage: (payload: SendMessage, ack: (answer: Ack<Sent>) => void) => void;
  getHistory: (payload: GetHistory, ack: (answer: Ack<HistoryPage>) => void) => void;
  typing: (payload: Typing) => void;
  refreshAuth: (payload: RefreshAuth, ack: (answer: Ack<Refreshed>) => void) => void;
}
