// The use cases of clients. A handler checks the payload, does the work and calls `answer` once; a thrown error is the
// answer, too.
import { v7 as uuid } from 'uuid';

import { ChatError, body, flag, identifier, limit, optionalIdentifier, whole } from './payload.mjs';
import { Room } from './room.mjs';

/** Greater than every `seq`. */
const END = Number.MAX_SAFE_INTEGER;

export class Chat {
  #io;
  #store;
  #alone;
  #rooms = new Map();

  /** `alone` is true for a single process. */
  constructor(io, store, alone) {
    this.#io = io;
    this.#store = store;
    this.#alone = alone;
  }

  /** Admits a guest under any name; a guest without one names itself when it joins. */
  connect(socket) {
    const userId = optionalIdentifier(socket.handshake.auth, 'userId');
    socket.data = { userId, operator: false, rooms: new Map() };
  }

  async joinRoom(socket, payload, answer) {
    const roomId = identifier(payload, 'roomId');
    const [lastSeq, count] = [whole(payload, 'lastSeq') ?? 0, limit(payload)];
    identify(socket, payload);
    const { rooms, userId } = socket.data;
    const joinedBefore = rooms.has(roomId);
    const room = this.#room(roomId);
    rooms.set(roomId, room);
    try {
      await room.join(lastSeq, count, (history) => {
        if (rooms.get(roomId) !== room) throw new ChatError('UNAVAILABLE', 'the room was left before it was joined');
        const members = room.members.enter(socket.id, userId);
        answer({ roomId, userId, ...history, ...members });
        socket.join(roomId);
      });
    } catch (error) {
      if (!joinedBefore) rooms.delete(roomId);
      throw error;
    }
  }

  #room(roomId) {
    let room = this.#rooms.get(roomId);
    if (room === undefined) {
      const broadcast = (event, payload) => this.#io.to(roomId).emit(event, payload);
      room = new Room(roomId, this.#store, this.#alone, broadcast, () => this.#rooms.delete(roomId));
      this.#rooms.set(roomId, room);
    }
    return room;
  }

  leaveRoom(socket, payload, answer) {
    const roomId = identifier(payload, 'roomId');
    const room = joined(socket, roomId);
    socket.data.rooms.delete(roomId);
    socket.leave(roomId);
    room.leave(socket.id, false);
    answer({ roomId });
  }

  sendMessage(socket, payload, answer) {
    const roomId = identifier(payload, 'roomId');
    const clientMessageId = optionalIdentifier(payload, 'clientMessageId');
    const message = body(payload);
    const room = joined(socket, roomId);
    const { userId, operator } = socket.data;
    const operatorId = operator ? userId : null;
    const timestamp = new Date().toISOString();
    return room.send({ id: uuid(), roomId, userId, operatorId, message, timestamp, clientMessageId }, answer);
  }

  async getHistory(socket, payload, answer) {
    const roomId = identifier(payload, 'roomId');
    const [before, after, count] = [whole(payload, 'beforeSeq'), whole(payload, 'afterSeq'), limit(payload)];
    if (before !== null && after !== null) {
      throw new ChatError('INVALID_PAYLOAD', 'beforeSeq and afterSeq: only one of them may be given');
    }
    joined(socket, roomId);
    const page = after === null
      ? await this.#store.newest(roomId, 0, before ?? END, count)
      : await this.#store.oldest(roomId, after, END, count);
    answer(page);
  }

  typing(socket, payload, answer) {
    const roomId = identifier(payload, 'roomId');
    const isTyping = flag(payload, 'isTyping');
    joined(socket, roomId);
    socket.to(roomId).volatile.emit('typing', { roomId, userId: socket.data.userId, isTyping });
    answer({});
  }

  disconnected(socket, broken) {
    const { rooms } = socket.data;
    for (const room of rooms.values()) room.leave(socket.id, broken);
    rooms.clear();
  }

  /** Resolves when every accepted send is done. */
  async idle() {
    await Promise.all(Array.from(this.#rooms.values(), (room) => room.idle()));
  }
}

/** Sets the socket's user: the first name holds for the life of the connection. */
function identify(socket, payload) {
  const userId = optionalIdentifier(payload, 'userId');
  const operatorId = optionalIdentifier(payload, 'operatorId');
  const claim = userId ?? operatorId;
  const operator = userId === null && operatorId !== null;
  const { data } = socket;
  if (data.userId === null) {
    if (claim === null) throw new ChatError('INVALID_PAYLOAD', 'userId: is required');
    Object.assign(data, { userId: claim, operator });
  } else if (claim !== null && claim !== data.userId) {
    throw new ChatError('FORBIDDEN', `userId: this connection speaks for "${data.userId}"`);
  } else if (operator && !data.operator) {
    throw new ChatError('FORBIDDEN', 'operatorId: this connection does not speak for an operator');
  }
}

function joined(socket, roomId) {
  const room = socket.data.rooms.get(roomId);
  if (room === undefined) throw new ChatError('NOT_IN_ROOM', 'join the room first');
  return room;
}
