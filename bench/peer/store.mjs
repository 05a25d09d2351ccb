// The log in Postgres: one prepared statement, one round trip and one commit per message, and one query by index for
// history.
import pg from 'pg';

import { ChatError } from './payload.mjs';

/** Thousands may wait for one of the pool's connections. */
const CONNECT_TIMEOUT_MS = 60_000;
const QUERY_TIMEOUT_MS = 10_000;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS rooms (
  room_id  text COLLATE "C" PRIMARY KEY,
  last_seq bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS messages (
  room_id           text COLLATE "C" NOT NULL,
  seq               bigint NOT NULL,
  id                uuid NOT NULL,
  user_id           text COLLATE "C" NOT NULL,
  operator_id       text COLLATE "C",
  message           text NOT NULL,
  client_message_id text COLLATE "C",
  "timestamp"       timestamptz NOT NULL,
  PRIMARY KEY (room_id, seq)
);
CREATE UNIQUE INDEX IF NOT EXISTS messages_client_message_id ON messages (room_id, user_id, client_message_id)
  WHERE client_message_id IS NOT NULL;`;

const COLUMNS = 'room_id, seq, id, user_id, operator_id, message, client_message_id, "timestamp"';

// A repeated send returns the existing row; a new one increments the room's counter, which locks its row until the
// commit.
const APPEND = {
  name: 'append',
  rowMode: 'array',
  text: `
WITH held AS (
  SELECT ${COLUMNS} FROM messages WHERE room_id = $1 AND user_id = $3 AND client_message_id = $6
), counted AS (
  INSERT INTO rooms (room_id, last_seq) SELECT $1, 1 WHERE NOT EXISTS (SELECT FROM held)
  ON CONFLICT (room_id) DO UPDATE SET last_seq = rooms.last_seq + 1
  RETURNING last_seq
), stored AS (
  INSERT INTO messages (${COLUMNS}) SELECT $1, last_seq, $2, $3, $4, $5, $6, $7::timestamptz FROM counted
)
SELECT NULL AS room_id, last_seq, NULL::uuid, NULL, NULL, NULL, NULL, NULL::timestamptz FROM counted
UNION ALL
SELECT * FROM held`,
};

const PAGE = `SELECT ${COLUMNS} FROM messages WHERE room_id = $1 AND seq > $2 AND seq < $3`;
const NEWEST = { name: 'newest', rowMode: 'array', text: `${PAGE} ORDER BY seq DESC LIMIT $4` };
const OLDEST = { name: 'oldest', rowMode: 'array', text: `${PAGE} ORDER BY seq LIMIT $4` };
const LAST_SEQ = { name: 'last_seq', rowMode: 'array', text: 'SELECT last_seq FROM rooms WHERE room_id = $1' };

pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export class Store {
  #pool;

  constructor(url, connections) {
    this.#pool = new pg.Pool({
      connectionString: url,
      max: connections,
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      // As in Parlor: a statement prepared on a new table would keep scanning the whole table as it grows.
      options: '-c enable_seqscan=off',
    });
    this.#pool.on('error', report);
  }

  /** Creates the tables when they are missing. */
  async open() {
    await this.#pool.query(SCHEMA);
  }

  close() {
    return this.#pool.end();
  }

  /** Stores a draft, and returns the message and whether an earlier send had stored it. */
  async append(draft) {
    const { roomId, id, userId, operatorId, message, clientMessageId, timestamp } = draft;
    const values = [roomId, id, userId, operatorId, message, clientMessageId, timestamp];
    const [row] = await this.#rows(APPEND, values);
    if (row[0] !== null) return { message: fromRow(row), duplicate: true };
    return { message: { ...draft, seq: row[1] }, duplicate: false };
  }

  /** Returns the newest messages with `after < seq < before`, oldest first, and whether some were left out. */
  async newest(roomId, after, before, limit) {
    const page = await this.#page(NEWEST, roomId, after, before, limit);
    page.messages.reverse();
    return page;
  }

  /** Returns the oldest messages with `after < seq < before`, in the same form. */
  oldest(roomId, after, before, limit) {
    return this.#page(OLDEST, roomId, after, before, limit);
  }

  async #page(statement, roomId, after, before, limit) {
    const rows = await this.#rows(statement, [roomId, after, before, limit + 1]);
    return { messages: rows.slice(0, limit).map(fromRow), hasMore: rows.length > limit };
  }

  async lastSeq(roomId) {
    const [row] = await this.#rows(LAST_SEQ, [roomId]);
    return row?.[0] ?? 0;
  }

  async #rows(statement, values) {
    try {
      const result = await this.#pool.query({ ...statement, values });
      return result.rows;
    } catch (cause) {
      report(cause);
      throw new ChatError('UNAVAILABLE', 'the server cannot store or read messages right now; try again');
    }
  }
}

// JSON.stringify writes the Date as ISO 8601 with milliseconds.
function fromRow([roomId, seq, id, userId, operatorId, message, clientMessageId, timestamp]) {
  return { id, roomId, seq, userId, operatorId, message, timestamp, clientMessageId };
}

function report(cause) {
  console.error(`database: ${cause.message}`);
}
