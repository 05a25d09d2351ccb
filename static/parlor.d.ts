/**
 * Parlor's wire contract in types, for any Socket.IO client. `docs/protocol.md` of the project explains it.
 *
 *     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { userId: "ann" } });
 *
 * An identifier (of a room, a user, a `clientMessageId`) has 1 to 128 bytes of UTF-8 and no control characters.
 * A `seq` is a message's place in its room: 1, 2, 3, …; 0 stands before the first.
 */

/** A message in the log; the same for everyone. The fields from `replyTo` on are there only when they are set. */
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
  /** The `seq` of the message that it answers. */
  replyTo?: number;
  /** The sender's own data. */
  metadata?: Record<string, unknown>;
  /** The number of its newest change in the room. */
  revision?: number;
  /** The time of its newest edit: ISO 8601 in UTC with milliseconds. */
  editedAt?: string;
  /** The time of its deletion; the text is empty then. */
  deletedAt?: string;
  /** True while it is pinned to its room. */
  pinned?: true;
  /** The reactions, at most 20 kinds, in the order of their first users. */
  reactions?: Reactors[];
}

/** The users with the same reaction to a message. */
export interface Reactors {
  reaction: string;
  /** The number of users. */
  count: number;
  /** The first 20 of them by name. */
  userIds: string[];
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
  /** Your newest `revision`: the answer holds the changes after it. */
  lastRevision?: number | undefined;
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
  /** The newest change that you have with this answer; 0 before the first. */
  lastRevision: number;
  /** The newest `seq` that you have read; missing when the database did not say in time, and with `reset`. */
  readSeq?: number;
  /** The room's settings; missing when nobody created it. */
  room?: RoomSettings;
  /** Your role; missing when you have none, and with `reset`. */
  role?: Role;
  /** With `lastRevision` in the request: the changed ones of your messages, by `revision`; at most 200. */
  changes?: Message[];
  /** With `lastRevision` in the request: true if there are further changes. */
  moreChanges?: boolean;
  /** You have missed too many changes to be told: read your messages anew. */
  changesReset?: true;
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
  /** The `seq` of the message that it answers. */
  replyTo?: number | undefined;
  /** Your own data: at most 4,096 bytes of JSON. */
  metadata?: Record<string, unknown> | undefined;
}

/** The answer to a send, given once the message is stored. */
export interface Sent {
  message: Message;
  /** True if an earlier send with the same `clientMessageId` stored it. */
  duplicate: boolean;
}

/** Replaces the text of a message of your own. */
export interface EditMessage {
  roomId: string;
  seq: number;
  /** As in a send. */
  message: string;
  /** New data; the present ones stay when absent, and go with `{}`. */
  metadata?: Record<string, unknown> | undefined;
  /** The message's `revision` as you know it, 0 for none: a later change makes this one a `CONFLICT`. */
  ifRevision?: number | undefined;
}

/** Erases a message for ever. */
export interface DeleteMessage {
  roomId: string;
  seq: number;
}

/** Sets your reaction to a message, or takes it back. */
export interface SetReaction {
  roomId: string;
  seq: number;
  /** 1 to 64 bytes of UTF-8, such as an emoji. */
  reaction: string;
  on: boolean;
}

/** Pins a message to its room, or unpins it. */
export interface SetPinned {
  roomId: string;
  seq: number;
  on: boolean;
}

/** The answer to a change, given once it is stored. */
export interface Changed {
  /** The message in its present state. */
  message: Message;
  /** False if the message was in the wanted state already. */
  changed: boolean;
}

/** Reads the changes after a revision. */
export interface GetChanges {
  roomId: string;
  afterRevision: number;
  /** The most changes in the answer, at most 200. */
  limit?: number | undefined;
}

/** A page of a room's changes. */
export interface ChangesPage {
  /** The changed messages in their present state, by `revision`. */
  changes: Message[];
  /** The newest change that you have with this answer. */
  lastRevision: number;
  /** True if there are further changes. */
  moreChanges: boolean;
  /** You have missed too many changes to be told: read your messages anew. */
  changesReset?: true;
  /** The room's settings; missing when nobody created it. */
  room?: RoomSettings;
}

/** A message changed. */
export interface MessageChanged {
  roomId: string;
  /** The change's number. */
  revision: number;
  /** The number of the change told before it: with that one, you have missed none. */
  previous: number;
  /** The message in its present state. */
  message: Message;
}

/** The users who may be in a room: all but those who were removed, or the members only. */
export type Access = "open" | "members";

/**
 * A member's rights. Members may be in the room. Moderators may also change its title and metadata, and add and remove members.
 * Owners may do everything.
 */
export type Role = "member" | "moderator" | "owner";

/** The settings of a room that somebody created. */
export interface RoomInfo {
  title?: string;
  /** The application's own data. */
  metadata?: Record<string, unknown>;
  access: Access;
  /** Only in a support room. */
  conversation?: Conversation;
  /** The present call, or the last one; there also in a room that nobody created. */
  call?: Call;
}

/** A client in a call. */
export interface CallParty {
  /** The client's own id, such as a UUID: after a reload or on another node, it comes back with the same one. */
  partyId: string;
  userId: string;
}

/** The reason of a call's end. */
export type CallEnd =
  /** Nobody answered in time. */
  | "missed"
  /** Its starter hung up while it rang. */
  | "cancelled"
  /** Everybody whom it rang declined. */
  | "rejected"
  /** The last party left. */
  | "left"
  /** One party was alone for too long. */
  | "alone"
  /** The last party's connection broke. */
  | "lost";

/** A call, of which a room has one at a time. */
export interface Call {
  /** Made by the client that started it. */
  callId: string;
  state: "ringing" | "active" | "ended";
  media: "audio" | "video";
  startedBy: string;
  startedAt: string;
  /** The users whom it rings; everybody in the room when absent. */
  to?: string[];
  /** The users who declined. */
  rejectedBy?: string[];
  /** In the order in which they joined; none after the end. */
  parties: CallParty[];
  /** The time at which the second party joined. */
  answeredAt?: string;
  /** The time at which it ends by itself, if nobody comes. */
  expiresAt?: string;
  endedAt?: string;
  endedReason?: CallEnd;
}

/** Starts a call, with the client as its first party. `CONFLICT` with the present one, if there is one. */
export interface StartCall {
  roomId: string;
  /** New for each call, such as a UUID. */
  callId: string;
  partyId: string;
  media: Call["media"];
  /** Everybody in the room when absent. */
  to?: string[] | undefined;
}

/** Accepts a call, comes to it later, or comes back. `CONFLICT` when it has ended or is full, or when another client of the user is in it. */
export interface JoinCall {
  roomId: string;
  callId: string;
  partyId: string;
}

/** Declines a ringing call on all devices of the user; later, it changes nothing. */
export interface RejectCall {
  roomId: string;
  callId: string;
}

/** Leaves a call. */
export interface LeaveCall {
  roomId: string;
  callId: string;
  partyId: string;
}

/** The answer to these. */
export interface CallChanged {
  /** The call now. */
  call: Call;
  /** To start and join, on servers with LiveKit: the way into its room of this call. */
  livekit?: { url: string; token: string };
}

/** Asks for servers that help parties of a call to find a path to each other. */
export interface GetIceServers {
  roomId: string;
  callId: string;
}

/** The answer to that, as `RTCPeerConnection` takes it. */
export interface IceServers {
  iceServers: { urls: string[]; username?: string; credential?: string }[];
  /** The end of the credentials' life. */
  expiresAt?: string;
}

/** A conversation of operators with a customer. */
export interface Conversation {
  state: "open" | "claimed" | "closed";
  /** The operator of a claimed one. */
  operatorId?: string;
  /** Counts the changes, from 1 on. */
  version: number;
  changedAt: string;
  /** The user who made the last change; absent when the server did, as its operator was away. */
  changedBy?: string;
}

/** Asks for a change of a conversation; for operators. Of several at once, one succeeds, and the others get `CONFLICT`. */
export interface ChangeConversation {
  roomId: string;
  /** The version that you know: `CONFLICT` if it is another one. */
  ifVersion?: number | undefined;
}

/** Takes a conversation. */
export interface ClaimConversation extends ChangeConversation {
  /** For supervisors: takes it from another operator. */
  force?: boolean | undefined;
}

/** Gives a conversation to another operator. */
export interface TransferConversation extends ChangeConversation {
  to: string;
}

export interface ConversationChanged {
  conversation: Conversation;
  /** False when it was so already. */
  changed: boolean;
}

export interface ConversationActivity {
  roomId: string;
  conversation: Conversation;
  /** The time of the oldest message of a customer without an answer. */
  waitingSince?: string;
  /** The room's newest `seq`. Of two states, the later one has a larger `version` or a larger `lastSeq`. */
  lastSeq: number;
}

/** A conversation in the list. */
export interface ListedConversation extends ConversationActivity {
  title?: string;
  lastMessage: Message | null;
}

/** Reads the conversations of one state; for operators. */
export interface ListConversations {
  /** `open` when absent. */
  state?: Conversation["state"] | undefined;
  operatorId?: string | undefined;
  /** 1 to 100. */
  limit?: number | undefined;
  /** From the answer before. */
  cursor?: string | undefined;
}

export interface ConversationsPage {
  /** The longest waiting first; of the closed ones, the last closed. */
  conversations: ListedConversation[];
  /** Null after the last page. */
  cursor: string | null;
}

/** The settings of a room, with the room's revision when they or the members changed last: keep the ones with the larger revision. */
export interface RoomSettings extends RoomInfo {
  revision: number;
}

/**
 * Creates a room; you become its owner. `CONFLICT` for a room that exists, `FORBIDDEN` for one that is in use without an owner. A
 * room that nobody creates is open to all, and has neither settings nor roles.
 */
export interface CreateRoom {
  roomId: string;
  /** At most 256 bytes of UTF-8 without control characters; none when absent or empty. */
  title?: string | undefined;
  /** Your own data: at most 4,096 bytes of JSON; none when absent or `{}`. */
  metadata?: Record<string, unknown> | undefined;
  /** `open` when absent. */
  access?: Access | undefined;
  /** The user ids of the first members besides you, at most 100. */
  members?: string[] | undefined;
}

/** The answer to a creation, given once it is stored. */
export interface Created {
  room: RoomSettings;
}

/** Changes a room's settings, for owners and moderators. `NOT_FOUND` for a room that nobody created. */
export interface SetRoom {
  roomId: string;
  /** As in a creation; stays as it is when absent, and goes with an empty text. */
  title?: string | undefined;
  /** As in a creation; stay as they are when absent, and go with `{}`. */
  metadata?: Record<string, unknown> | undefined;
  /** For owners only; stays as it is when absent. */
  access?: Access | undefined;
}

/** The answer to a change of settings, given once it is stored. */
export interface RoomSet {
  /** The settings now. */
  room: RoomSettings;
  /** False if they were so already. */
  changed: boolean;
}

/** The settings of a room changed. */
export interface RoomChanged {
  roomId: string;
  /** The change's number, in one sequence with the changes of messages. */
  revision: number;
  /** The number of the change told before it: with that one, you have missed none. */
  previous: number;
  /** The settings now. */
  room: RoomSettings;
}

/** Makes a user a member, or gives a member another role; for owners and moderators. */
export interface AddMember {
  roomId: string;
  userId: string;
  /** `member` when absent. Only owners may give or take another one. */
  role?: Role | undefined;
}

/** Puts a user out of a room until somebody adds the user again; for owners and moderators, and for the user. */
export interface RemoveMember {
  roomId: string;
  userId: string;
}

/** The answer to a change of a member; after a removal, the user's clients hear nothing more of the room. */
export interface MemberChanged {
  /** False if it was so already. */
  changed: boolean;
}

/** Reads a page of the members of a joined room. */
export interface GetMembers {
  roomId: string;
  /** The most members in the answer. */
  limit?: number | undefined;
  /** The `cursor` of the page before. */
  cursor?: string | null | undefined;
}

/** A user with a role in a room, present or not. */
export interface Member {
  userId: string;
  role: Role;
}

/** A page of a room's members. */
export interface MembersPage {
  members: Member[];
  /** The place of the next page; `null` after the last one. */
  cursor: string | null;
}

/** The server put you out of a room. A join is refused with `FORBIDDEN` until somebody adds you. */
export interface Removed {
  roomId: string;
  /** Somebody removed you, or the room is now for its members only. */
  reason: "removed" | "notMember";
}

/** Says that you have read a room up to a message; you need not have joined it. A mark never goes back. */
export interface MarkRead {
  roomId: string;
  seq: number;
}

/** The answer to a mark, given once it is stored. */
export interface Position {
  /** The newest `seq` that you have read, on any device. */
  readSeq: number;
}

/** A user's position in a room. */
export interface Read {
  userId: string;
  /** The newest `seq` read. */
  seq: number;
}

/** New positions of readers. */
export interface Reads {
  roomId: string;
  reads: Read[];
}

/** Asks how far the readers of a joined room have read. */
export interface GetReads {
  roomId: string;
}

/** The readers of a room. */
export interface ReadsPage {
  /** By `userId`, at most 100. */
  reads: Read[];
  /** True if the room has further readers. */
  hasMore: boolean;
}

/** Puts a room into your list. */
export interface FollowRoom {
  roomId: string;
  /** True if you want no notice of its messages; stays as it is when absent. */
  muted?: boolean | undefined;
}

/** Takes a room out of your list. */
export interface UnfollowRoom {
  roomId: string;
}

/** The answer to a follow and its end. */
export interface RoomName {
  roomId: string;
}

/** Reads a page of your list of rooms. */
export interface ListRooms {
  /** The most rooms in the answer: 100 when absent, and never more. */
  limit?: number | undefined;
  /** The `cursor` of the page before. */
  cursor?: string | null | undefined;
}

/** A room in your list. */
export interface RoomSummary {
  roomId: string;
  title?: string;
  /** The room's newest `seq`. */
  lastSeq: number;
  /** The newest message in its present state; `null` in a room without messages. */
  lastMessage: Message | null;
  /** The newest `seq` that you have read or written. */
  readSeq: number;
  /** The number of messages after it. */
  unread: number;
  muted: boolean;
}

/** A page of your list of rooms. */
export interface RoomsPage {
  /** The latest activity first. */
  rooms: RoomSummary[];
  /** The place of the next page; `null` after the last one. */
  cursor: string | null;
}

/** Begins or ends the news of the rooms in your list. */
export interface WatchRooms {
  on: boolean;
}

/** News of a room in your list. */
export type RoomActivity = (RoomSummary & { followed: true }) | { roomId: string; followed: false };

/** Finds messages by their words. An unknown event on servers with `SEARCH=off`. */
export interface SearchMessages {
  /** The only room; all that you follow when absent. */
  roomId?: string | undefined;
  /** Words or beginnings of words, at most 16 and 1,000 bytes: all must be there. */
  query: string;
  /** With `roomId`: only messages before this one. */
  beforeSeq?: number | undefined;
  /** The most messages in the answer: 20 when absent, at most 100. */
  limit?: number | undefined;
}

/** Found messages. */
export interface FoundMessages {
  /** The newest first. */
  messages: Message[];
  /** True if there are others. */
  hasMore: boolean;
}

/** Reads a page of a room's history: the newest messages, or the messages before or after a `seq`. */
export type GetHistory = {
  roomId: string;
  /** Only the replies to this message. */
  replyTo?: number | undefined;
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

/** Relays an event of your own to others in the room. It is neither stored nor repeated. */
export interface SendSignal {
  roomId: string;
  /** Your name for this kind of event: 1 to 128 bytes of UTF-8. */
  type: string;
  /** At most 16,384 bytes of JSON. */
  data: object;
  /** One user, or one party of the room's call, which only another party reaches; all other clients when absent. */
  to?: string | { partyId: string } | undefined;
}

/** An event of another client's own. */
export interface Signal {
  roomId: string;
  /** The sender. */
  userId: string;
  /** The sender's party in the room's call. */
  partyId?: string;
  type: string;
  data: any;
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
  /** A send, typing, signal, leave or history without a join: join, then repeat it. */
  | "NOT_IN_ROOM"
  /** A missing or invalid token. */
  | "UNAUTHORIZED"
  /** An expired token. */
  | "TOKEN_EXPIRED"
  /** There is no such message, or nobody created the room. */
  | "NOT_FOUND"
  /** Somebody was faster, the message is deleted, or the room exists; `current` is its present state. */
  | "CONFLICT"
  /** Not permitted: the change, the room, the number of rooms, another identity than before, or the origin. */
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

/** The reason of a failure. With `CONFLICT`, it tells the present state of a message, or of a room that is to be created. */
export interface ErrorBody<Current = Message> {
  code: ErrorCode;
  /** For people. */
  message: string;
  /** True if the same request may succeed later. */
  retryable: boolean;
  /** The time to wait before a retry, in milliseconds. */
  retryAfterMs?: number;
  /** With `CONFLICT`: the present state; of a room that you may not enter, the `access` alone. */
  current?: Current;
}

/** The answer to a failed request. */
export interface Failure<Current = Message> {
  status: "error";
  error: ErrorBody<Current>;
}

/** The one object of every ack. */
export type Ack<T, Current = Message> = ({ status: "ok" } & T) | Failure<Current>;

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
  /** A message in a joined room changed, whoever changed it. If `previous` is beyond your `revision`, call `getChanges`. */
  messageChanged: (changed: MessageChanged) => void;
  /** The settings of a joined room changed. If `previous` is beyond your `revision`, call `getChanges`. */
  roomChanged: (changed: RoomChanged) => void;
  /** The server put you out of a room. */
  removed: (removed: Removed) => void;
  /** Members have read up to some messages, in a room of at most 100 members; and so have you, on another device. */
  read: (reads: Reads) => void;
  /** Something is new in a room of your list, while you watch. */
  roomActivity: (activity: RoomActivity) => void;
  conversationActivity: (activity: ConversationActivity) => void;
  /** Users came or went. */
  presence: (presence: Presence) => void;
  /** Another user is typing, or has stopped. */
  typing: (typing: UserTyping) => void;
  /** An event of another client's own. */
  signal: (signal: Signal) => void;
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
  editMessage: (payload: EditMessage, ack: (answer: Ack<Changed>) => void) => void;
  deleteMessage: (payload: DeleteMessage, ack: (answer: Ack<Changed>) => void) => void;
  setReaction: (payload: SetReaction, ack: (answer: Ack<Changed>) => void) => void;
  setPinned: (payload: SetPinned, ack: (answer: Ack<Changed>) => void) => void;
  getChanges: (payload: GetChanges, ack: (answer: Ack<ChangesPage>) => void) => void;
  createRoom: (payload: CreateRoom, ack: (answer: Ack<Created, RoomInfo>) => void) => void;
  setRoom: (payload: SetRoom, ack: (answer: Ack<RoomSet>) => void) => void;
  addMember: (payload: AddMember, ack: (answer: Ack<MemberChanged>) => void) => void;
  removeMember: (payload: RemoveMember, ack: (answer: Ack<MemberChanged>) => void) => void;
  getMembers: (payload: GetMembers, ack: (answer: Ack<MembersPage>) => void) => void;
  getHistory: (payload: GetHistory, ack: (answer: Ack<HistoryPage>) => void) => void;
  markRead: (payload: MarkRead, ack: (answer: Ack<Position>) => void) => void;
  getReads: (payload: GetReads, ack: (answer: Ack<ReadsPage>) => void) => void;
  followRoom: (payload: FollowRoom, ack: (answer: Ack<RoomName>) => void) => void;
  unfollowRoom: (payload: UnfollowRoom, ack: (answer: Ack<RoomName>) => void) => void;
  listRooms: (payload: ListRooms, ack: (answer: Ack<RoomsPage>) => void) => void;
  watchRooms: (payload: WatchRooms, ack: (answer: Ack<object>) => void) => void;
  claimConversation: (payload: ClaimConversation, ack: (answer: Ack<ConversationChanged, Conversation>) => void) => void;
  releaseConversation: (payload: ChangeConversation, ack: (answer: Ack<ConversationChanged, Conversation>) => void) => void;
  transferConversation: (payload: TransferConversation, ack: (answer: Ack<ConversationChanged, Conversation>) => void) => void;
  closeConversation: (payload: ChangeConversation, ack: (answer: Ack<ConversationChanged, Conversation>) => void) => void;
  listConversations: (payload: ListConversations, ack: (answer: Ack<ConversationsPage>) => void) => void;
  watchConversations: (payload: { on: boolean }, ack: (answer: Ack<object>) => void) => void;
  searchMessages: (payload: SearchMessages, ack: (answer: Ack<FoundMessages>) => void) => void;
  startCall: (payload: StartCall, ack: (answer: Ack<CallChanged, Call>) => void) => void;
  joinCall: (payload: JoinCall, ack: (answer: Ack<CallChanged, Call>) => void) => void;
  rejectCall: (payload: RejectCall, ack: (answer: Ack<CallChanged, Call>) => void) => void;
  leaveCall: (payload: LeaveCall, ack: (answer: Ack<CallChanged, Call>) => void) => void;
  getIceServers: (payload: GetIceServers, ack: (answer: Ack<IceServers>) => void) => void;
  typing: (payload: Typing) => void;
  signal: (payload: SendSignal, ack: (answer: Ack<object>) => void) => void;
  refreshAuth: (payload: RefreshAuth, ack: (answer: Ack<Refreshed>) => void) => void;
}
