//! The rosters: a hash for each server, with a field for each room.
//!
//! The hash is the sign of the server's life as well: it expires unless the server looks at the
//! others. Its field without a name, as no room has, holds the revision.

use std::time::Duration;

use async_trait::async_trait;
use redis::{
    AsyncConnectionConfig, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Names, RedisUrl, TIMEOUT, within};
use crate::{
    bus::roster::{Roster, RosterError, RosterStore, Rosters, Server, ServerId},
    model::RoomId,
};

/// The time for which a server counts as alive after its last look; looks are 2 s apart. The others
/// wait 6 s more before its members leave, so a late look costs only a new listing.
const LEASE: Duration = Duration::from_secs(4);

/// The time limit of writing the rosters of many rooms.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most rooms in a command.
const MAX_ROOMS_AT_ONCE: usize = 1_000;

/// The field with the revision.
const REVISION: &str = "";

/// Writes the rosters of a listed server. An empty text removes one.
const UPDATE: &str = "
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 1, #ARGV, 2 do
    if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
    else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1";

/// The rosters, on a connection of their own.
pub(super) struct RedisRosters {
    node: Uuid,
    url: RedisUrl,
    names: Names,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisRosters {
    pub(super) fn new(node: Uuid, url: RedisUrl, names: Names) -> Self {
        Self {
            node,
            url,
            names,
            connection: Mutex::default(),
        }
    }

    /// Returns the key of this server.
    fn own(&self) -> String {
        self.names.server(self.node)
    }

    /// Runs commands. A connection that fails is thrown away: it may lead to a former primary.
    async fn run<T: FromRedisValue>(
        &self,
        time: Duration,
        commands: &Pipeline,
    ) -> Result<T, RosterError> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.url.connect(AsyncConnectionConfig::new()).await?,
        };
        let answers = within(time, commands.query_async(&mut connection)).await?;
        *kept = Some(connection);
        Ok(answers)
    }

    /// Runs commands with the same kind of answer, or none.
    async fn run_each<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<T>, RosterError> {
        if commands.is_empty() {
            return Ok(vec![]);
        }
        self.run(TIMEOUT, commands).await
    }

    /// Returns the servers of a set's members.
    fn listed(members: &[String]) -> Vec<ServerId> {
        let servers = members.iter().filter_map(|member| member.parse().ok());
        servers.map(ServerId).collect()
    }
}

impl From<RedisError> for RosterError {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

#[async_trait]
impl RosterStore for RedisRosters {
    fn server_id(&self) -> ServerId {
        ServerId(self.node)
    }

    async fn list(&self, revision: u64, rosters: &[(RoomId, Roster)]) -> Result<(), RosterError> {
        let own = self.own();
        let mut commands = redis::pipe();
        commands.atomic();
        commands.cmd("DEL").arg(&own);
        commands.cmd("HSET").arg(&own).arg(REVISION).arg(revision);
        let written: Vec<_> = rosters
            .iter()
            .filter(|(_, roster)| !roster.is_empty())
            .collect();
        for rosters in written.chunks(MAX_ROOMS_AT_ONCE) {
            let command = commands.cmd("HSET").arg(&own);
            for (room, roster) in rosters {
                command.arg(room.as_str()).arg(roster.encode());
            }
        }
        commands.cmd("PEXPIRE").arg(&own).arg(millis(LEASE));
        commands
            .cmd("SADD")
            .arg(self.names.servers())
            .arg(self.node.to_string());
        self.run(WRITE_TIMEOUT, commands.ignore()).await
    }

    async fn update(
        &self,
        revision: u64,
        rosters: &[(RoomId, Roster)],
    ) -> Result<bool, RosterError> {
        let mut commands = redis::pipe();
        let command = commands.cmd("EVAL").arg(UPDATE).arg(1).arg(self.own());
        command.arg(REVISION).arg(revision);
        for (room, roster) in rosters {
            let text = if roster.is_empty() {
                String::new()
            } else {
                roster.encode()
            };
            command.arg(room.as_str()).arg(text);
        }
        let (is_listed,) = self.run(WRITE_TIMEOUT, &commands).await?;
        Ok(is_listed)
    }

    async fn read(&self, rooms: &[RoomId]) -> Result<Rosters, RosterError> {
        let mut commands = redis::pipe();
        commands.cmd("SMEMBERS").arg(self.names.servers());
        let (members,): (Vec<String>,) = self.run(TIMEOUT, &commands).await?;
        let servers = Self::listed(&members);
        let mut commands = redis::pipe();
        for server in &servers {
            let command = commands
                .cmd("HMGET")
                .arg(self.names.server(server.0))
                .arg(REVISION);
            for room in rooms {
                command.arg(room.as_str());
            }
        }
        let mut read = Rosters::default();
        let hashes = self.run_each(&commands).await?;
        for (server, fields) in servers.into_iter().zip(hashes) {
            add(&mut read, server, rooms, fields);
        }
        Ok(read)
    }

    async fn servers(&self) -> Result<Vec<Server>, RosterError> {
        let mut commands = redis::pipe();
        commands
            .cmd("PEXPIRE")
            .arg(self.own())
            .arg(millis(LEASE))
            .ignore();
        commands.cmd("SMEMBERS").arg(self.names.servers());
        let (members,): (Vec<String>,) = self.run(TIMEOUT, &commands).await?;
        let servers = Self::listed(&members);
        let mut commands = redis::pipe();
        for server in &servers {
            commands
                .cmd("HGET")
                .arg(self.names.server(server.0))
                .arg(REVISION);
        }
        let revisions = self.run_each::<Option<u64>>(&commands).await?;
        let seen = servers
            .into_iter()
            .zip(revisions)
            .map(|(id, revision)| Server {
                id,
                revision: revision.unwrap_or_default(),
                is_alive: revision.is_some(),
            });
        // Without its hash, this server has to list itself again.
        Ok(seen
            .filter(|seen| seen.is_alive || seen.id.0 != self.node)
            .collect())
    }

    async fn remove(&self, servers: &[ServerId]) -> Result<(), RosterError> {
        let mut commands = redis::pipe();
        commands.atomic();
        for server in servers {
            commands.cmd("DEL").arg(self.names.server(server.0));
            commands
                .cmd("SREM")
                .arg(self.names.servers())
                .arg(server.0.to_string());
        }
        self.run(TIMEOUT, commands.ignore()).await
    }

    async fn close(&self) {
        let mut commands = redis::pipe();
        commands.cmd("DEL").arg(self.own()).ignore();
        self.run::<()>(TIMEOUT, &commands).await.ok();
        *self.connection.lock().await = None;
    }
}

/// Adds a server's fields, of which the first is the revision; a server without one is not there.
fn add(read: &mut Rosters, server: ServerId, rooms: &[RoomId], fields: Vec<Option<String>>) {
    let mut fields = fields.into_iter();
    if fields.next().flatten().is_none() {
        return;
    }
    read.servers.push(server);
    for (room, roster) in rooms.iter().zip(fields) {
        let roster = roster.as_deref().and_then(Roster::decode);
        read.rosters
            .extend(roster.map(|roster| (room.clone(), server, roster)));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
