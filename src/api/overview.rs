//! The state of the whole chat, for administrators.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refused},
};
use crate::{
    error::Error,
    model::{NodeReport, RoomId, RoomLoad, Seq, iso8601_millis, optional_time},
    overview::{self, Node, Receiver},
};

/// The state of the chat in figures, a second old at most. It fits 64 kB.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OverviewAnswer {
    /// The time of the figures.
    #[serde(serialize_with = "iso8601_millis")]
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    /// The number of servers.
    node_count: usize,
    /// The servers, at most 64. The first one answers, and has asked the others.
    nodes: Vec<NodeAnswer>,
    totals: Totals,
    /// The active rooms with the most members, at most 50. Of another server, only as many are known as fit
    /// a report.
    rooms: Vec<RoomAnswer>,
    database: Database,
    bus: Bus,
    /// The receivers of webhooks as of the last 10 seconds, at most 32; none when the database does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    webhooks: Option<Vec<ReceiverAnswer>>,
}

/// A server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NodeAnswer {
    #[schema(value_type = String)]
    id: Uuid,
    /// True when the server did not answer within a second.
    is_silent: bool,
    /// The figures of a server that is not silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    figures: Option<Figures>,
}

/// The figures of a server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Figures {
    version: String,
    #[serde(serialize_with = "iso8601_millis")]
    #[schema(value_type = String, format = DateTime)]
    started_at: DateTime<Utc>,
    /// The Socket.IO clients.
    connections: usize,
    /// The streams of server-sent events.
    streams: usize,
    /// The users present in rooms, once for each room.
    members: usize,
    /// The active rooms.
    rooms: usize,
    /// The messages stored since the start.
    messages: u64,
    queue: Queue,
    /// False before the tables are up to date, and for 10 s after a failed attempt to store.
    is_storing: bool,
    /// False while reports of other servers may get lost.
    is_bus_well: bool,
    pool: Pool,
}

/// The queue of messages and changes before the database.
#[derive(Serialize, ToSchema)]
struct Queue {
    /// Those that wait.
    entries: usize,
    /// The memory of those that wait or are being stored.
    bytes: usize,
}

/// The connections of a server to the database.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Pool {
    open: usize,
    in_use: usize,
    /// The most there can be.
    max: usize,
}

/// The sums over all servers that are not silent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Totals {
    connections: usize,
    streams: usize,
    /// The users present in rooms, once for each room and server.
    members: usize,
    /// The messages and changes that wait to be stored.
    queue_entries: usize,
}

/// A room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BusyRoom)]
struct RoomAnswer {
    room_id: RoomId,
    /// The users present, on all servers.
    members: usize,
    /// The newest message.
    last_seq: Seq,
}

/// The database.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Database {
    /// `postgres` or `sqlite`.
    kind: &'static str,
    /// True when it answers, and messages are stored.
    is_well: bool,
}

/// The way to the other servers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Bus {
    /// `none`, `postgres` or `redis`.
    mode: &'static str,
    /// False while reports may get lost.
    is_well: bool,
}

/// A receiver of webhooks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReceiverAnswer {
    /// The origin of its URL.
    url: String,
    /// True when it gets no more events.
    is_off: bool,
    /// The reason of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    off_because: Option<String>,
    /// The rooms with events to deliver.
    rooms: i64,
    /// The events to deliver.
    events: i64,
    /// The time of the oldest message to deliver.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    oldest: Option<DateTime<Utc>>,
    /// The time of the latest success.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    succeeded_at: Option<DateTime<Utc>>,
    /// The time of the latest failure.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    failed_at: Option<DateTime<Utc>>,
    /// The latest failure in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<String>,
}

/// Tells the state of the whole chat in figures: servers, busiest rooms, database, bus and webhooks. Only for
/// services that may enter all rooms.
#[utoipa::path(
    get, path = "/overview", tag = "overview",
    responses((status = 200, description = "The state.", body = OverviewAnswer), Refused)
)]
pub async fn get_overview(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
) -> Result<Answer, Error> {
    service.check_all_rooms()?;
    let state = api.overview.state().await;
    Ok(Answer::ok(&OverviewAnswer::from(&*state)))
}

impl From<&overview::State> for OverviewAnswer {
    fn from(state: &overview::State) -> Self {
        let receivers = state.receivers.as_ref();
        Self {
            at: state.at,
            node_count: state.node_count,
            nodes: state.nodes.iter().map(NodeAnswer::from).collect(),
            totals: Totals {
                connections: state.totals.connections,
                streams: state.totals.streams,
                members: state.totals.members,
                queue_entries: state.totals.queue_entries,
            },
            rooms: state.rooms.iter().map(RoomAnswer::from).collect(),
            database: Database {
                kind: state.database,
                is_well: state.is_database_well,
            },
            bus: Bus {
                mode: state.bus_mode,
                is_well: state.is_bus_well,
            },
            webhooks: receivers.map(|all| all.iter().map(ReceiverAnswer::from).collect()),
        }
    }
}

impl From<&Node> for NodeAnswer {
    fn from(node: &Node) -> Self {
        Self {
            id: node.id,
            is_silent: node.report.is_none(),
            figures: node.report.as_ref().map(Figures::from),
        }
    }
}

impl From<&NodeReport> for Figures {
    fn from(report: &NodeReport) -> Self {
        Self {
            version: report.version.clone(),
            started_at: report.started_at,
            connections: report.connections,
            streams: report.streams,
            members: report.members,
            rooms: report.rooms,
            messages: report.messages,
            queue: Queue {
                entries: report.queue_entries,
                bytes: report.queue_bytes,
            },
            is_storing: report.is_storing,
            is_bus_well: report.is_bus_well,
            pool: Pool {
                open: report.pool.open,
                in_use: report.pool.in_use,
                max: report.pool.max,
            },
        }
    }
}

impl From<&RoomLoad> for RoomAnswer {
    fn from(room: &RoomLoad) -> Self {
        Self {
            room_id: room.room_id.clone(),
            members: room.members,
            last_seq: room.last_seq,
        }
    }
}

impl From<&Receiver> for ReceiverAnswer {
    fn from(receiver: &Receiver) -> Self {
        let (off, failed) = (receiver.disabled.as_ref(), receiver.failed.as_ref());
        Self {
            url: receiver.origin.clone(),
            is_off: off.is_some(),
            off_because: off.map(|(_, why)| why.clone()),
            rooms: receiver.rooms,
            events: receiver.events,
            oldest: receiver.oldest,
            succeeded_at: receiver.succeeded,
            failed_at: failed.map(|(at, _)| *at),
            last_error: failed.map(|(_, why)| why.clone()),
        }
    }
}
