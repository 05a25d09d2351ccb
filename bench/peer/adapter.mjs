// The adapters by which several processes share rooms, set up as their pages say:
// https://socket.io/docs/v4/redis-adapter/ and https://socket.io/docs/v4/postgres-adapter/.
import { createAdapter as byPostgres } from '@socket.io/postgres-adapter';
import { createAdapter as byRedis } from '@socket.io/redis-adapter';
import pg from 'pg';
import { createClient } from 'redis';

/** One connection listens, the others notify. With the store's, four processes stay below Postgres' limit. */
const CONNECTIONS = 8;

const ATTACHMENTS = `
CREATE TABLE IF NOT EXISTS socket_io_attachments (
  id         bigserial UNIQUE,
  created_at timestamptz DEFAULT NOW(),
  payload    bytea
);`;

async function postgres({ DATABASE_URL }) {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: CONNECTIONS });
  await pool.query(ATTACHMENTS);
  return byPostgres(pool);
}

async function redis({ REDIS_URL }) {
  const publisher = createClient({ url: REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return byRedis(publisher, subscriber);
}

const ADAPTERS = { postgres, redis };

/** Opens the adapter that `ADAPTER` names, or none for a single process. */
export function open(env) {
  return env.ADAPTER === undefined ? undefined : ADAPTERS[env.ADAPTER](env);
}
