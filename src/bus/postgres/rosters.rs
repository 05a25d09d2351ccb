//! The rosters, in tables that a crash of the database empties.
//!
//! A server is alive while it holds an advisory lock, taken on the listener's connection: nothing is
//! written to stay alive, and the database itself notices the end of a process. Without a
//! connection that can hold a lock, the server writes the time at each look instead.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::Query,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Lease, TIMEOUT, in_time, within};
use crate::{
    bus::roster::{Roster, RosterError, RosterStore, Rosters, Server, ServerId},
    model::RoomId,
    store::{Cause, Schema},
};

const LIST: &str = "
WITH new AS (SELECT * FROM unnest($4::text[], $5::text[]) AS new (room_id, roster)),
listed AS (
    INSERT INTO {servers} (server_id, revision, lease) VALUES ($1, $2, $3)
    ON CONFLICT (server_id) DO UPDATE SET revision = EXCLUDED.revision),
removed AS (
    DELETE FROM {rosters} old
    WHERE server_id = $1 AND NOT EXISTS (SELECT FROM new WHERE new.room_id COLLATE \"C\" = old.room_id))
INSERT INTO {rosters} (room_id, server_id, roster) SELECT room_id, $1, roster FROM new
ON CONFLICT (room_id, server_id) DO UPDATE SET roster = EXCLUDED.roster";

const UPDATE: &str = "
WITH listed AS (UPDATE {servers} SET revision = $2 WHERE server_id = $1 RETURNING server_id),
removed AS (DELETE FROM {rosters} WHERE server_id = $1 AND room_id = ANY($3::text[])),
written AS (
    INSERT INTO {rosters} (room_id, server_id, roster)
    SELECT new.room_id, server_id, new.roster
    FROM listed, unnest($4::text[], $5::text[]) AS new (room_id, roster)
    ON CONFLICT (room_id, server_id) DO UPDATE SET roster = EXCLUDED.roster)
SELECT FROM listed";

const READ: &str = "
SELECT server.server_id, room_id, roster FROM {servers} server
LEFT JOIN {rosters} roster ON roster.server_id = server.server_id AND room_id = ANY($1::text[])";

/// The lock of a key of 64 bits is shown in two halves.
const SERVERS: &str = "
WITH locks AS (
    SELECT classid::bigint << 32 | objid::bigint AS lease FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT server_id, revision,
    lease IN (SELECT lease FROM locks) OR coalesce(seen_at > now() - interval '5 seconds', false) AS is_alive
FROM {servers}";

const SHOW_LIFE: &str = "UPDATE {servers} SET seen_at = now() WHERE server_id = $1";

const REMOVE: &str = "DELETE FROM {servers} WHERE server_id = ANY($1)";

/// The time limit of writing the rosters of many rooms.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The rosters, on a connection of their own.
#[derive(Debug)]
pub(super) struct PostgresRosters {
    node: Uuid,
    options: PgConnectOptions,
    lease: Arc<Lease>,
    schema: Option<Schema>,
    connection: Mutex<Option<PgConnection>>,
}

impl PostgresRosters {
    pub(super) fn new(
        node: Uuid,
        options: PgConnectOptions,
        lease: Arc<Lease>,
        schema: Option<&Schema>,
    ) -> Self {
        Self {
            node,
            options,
            lease,
            schema: schema.cloned(),
            connection: Mutex::default(),
        }
    }

    /// Returns a statement that finds its tables, and is prepared for one transaction only: a
    /// pooler lends a connection for no longer.
    fn query(&self, sql: &str) -> Query<'static, Postgres, PgArguments> {
        let table = |name: &str| match &self.schema {
            Some(schema) => format!("{}.{name}", schema.quoted()),
            None => name.to_owned(),
        };
        let sql = sql
            .replace("{servers}", &table("servers"))
            .replace("{rosters}", &table("rosters"));
        sqlx::query(AssertSqlSafe(sql)).persistent(false)
    }

    async fn fetch(
        &self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, RosterError> {
        self.fetch_within(TIMEOUT, query).await
    }

    /// Runs a statement. A connection that fails is thrown away.
    async fn fetch_within(
        &self,
        time: Duration,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, RosterError> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => in_time(PgConnection::connect_with(&self.options)).await?,
        };
        let rows = within(time, async {
            let mut transaction = connection.begin().await?;
            let rows = query.fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        })
        .await?;
        *kept = Some(connection);
        Ok(rows)
    }
}

impl From<sqlx::Error> for RosterError {
    fn from(error: sqlx::Error) -> Self {
        Self(Cause::from(error).to_string())
    }
}

#[async_trait]
impl RosterStore for PostgresRosters {
    fn server_id(&self) -> ServerId {
        ServerId(self.node)
    }

    async fn list(&self, revision: u64, rosters: &[(RoomId, Roster)]) -> Result<(), RosterError> {
        let (rooms, rosters) = columns(rosters);
        let query = self
            .query(LIST)
            .bind(self.node)
            .bind(to_bigint(revision))
            .bind(self.lease.key())
            .bind(rooms)
            .bind(rosters);
        self.fetch_within(WRITE_TIMEOUT, query).await.map(drop)
    }

    async fn update(
        &self,
        revision: u64,
        rosters: &[(RoomId, Roster)],
    ) -> Result<bool, RosterError> {
        let (removed, written): (Vec<_>, Vec<_>) = rosters
            .iter()
            .cloned()
            .partition(|(_, roster)| roster.is_empty());
        let (removed, _) = columns(&removed);
        let (rooms, rosters) = columns(&written);
        let query = self
            .query(UPDATE)
            .bind(self.node)
            .bind(to_bigint(revision))
            .bind(removed)
            .bind(rooms)
            .bind(rosters);
        let updated = self.fetch_within(WRITE_TIMEOUT, query).await?;
        Ok(!updated.is_empty())
    }

    async fn read(&self, rooms: &[RoomId]) -> Result<Rosters, RosterError> {
        let names: Vec<_> = rooms.iter().map(|room| room.as_str().to_owned()).collect();
        let mut read = Rosters::default();
        for row in self.fetch(self.query(READ).bind(names)).await? {
            let server = ServerId(row.try_get("server_id")?);
            if !read.servers.contains(&server) {
                read.servers.push(server);
            }
            let room: Option<String> = row.try_get("room_id")?;
            let roster: Option<String> = row.try_get("roster")?;
            if let (Some(room), Some(roster)) = (room, roster) {
                read.rosters.extend(decoded(&room, server, &roster));
            }
        }
        Ok(read)
    }

    async fn servers(&self) -> Result<Vec<Server>, RosterError> {
        if !self.lease.is_held() {
            self.fetch(self.query(SHOW_LIFE).bind(self.node)).await?;
        }
        let rows = self.fetch(self.query(SERVERS)).await?;
        let server = |row: &PgRow| {
            let revision: i64 = row.try_get("revision")?;
            Ok(Server {
                id: ServerId(row.try_get("server_id")?),
                revision: revision.cast_unsigned(),
                is_alive: row.try_get("is_alive")?,
            })
        };
        rows.iter().map(server).collect()
    }

    async fn remove(&self, servers: &[ServerId]) -> Result<(), RosterError> {
        let servers: Vec<_> = servers.iter().map(|server| server.0).collect();
        self.fetch(self.query(REMOVE).bind(servers)).await.map(drop)
    }

    async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            in_time(connection.close()).await.ok();
        }
    }
}

fn columns(rosters: &[(RoomId, Roster)]) -> (Vec<String>, Vec<String>) {
    let encoded = |(room, roster): &(RoomId, Roster)| (room.as_str().to_owned(), roster.encode());
    rosters.iter().map(encoded).unzip()
}

/// Reads a row; returns none for one written by a server with other rules.
fn decoded(room: &str, server: ServerId, roster: &str) -> Option<(RoomId, ServerId, Roster)> {
    let room = RoomId::try_from(room).ok()?;
    Some((room, server, Roster::decode(roster)?))
}

/// Keeps all bits of a number that the database takes for a signed one.
fn to_bigint(number: u64) -> i64 {
    number.cast_signed()
}
