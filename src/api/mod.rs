//! REST for backends: `/api/v1`, the use cases of the chat for services.
//!
//! A handler reads the request, calls [`Chat`] and answers, like one of Socket.IO. The document at
//! `/api/v1/openapi.json` is made from the handlers, so both have the same routes.

mod access;
mod answer;
mod archive;
mod batch;
mod changes;
mod conversations;
mod inbox;
mod messages;
mod openapi;
mod overview;
mod presence;
mod request;
mod rooms;
mod search;
mod stream;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::stream::Streams;
use self::stream::{Places, Tickets};
use crate::{
    auth::{Identity, Service, Services},
    chat::{Chat, Participant},
    engine::ForwardedHeaders,
    http::{self, AllowedOrigins},
    metrics,
    model::UserId,
    overview::Overview,
    rates::{Limiter, Rate},
};

/// The path of the API.
pub const PATH: &str = "/api/v1";

/// The most memory of all bodies on a node, in KiB: each takes as much as it may have, from its first byte
/// to its answer.
const BODIES_KIB: usize = 64 * 1024;

/// The writes that a node handles at once, so that a flood leaves the chat its place in the writer's queue.
pub const WRITES_AT_ONCE: usize = 64;
/// The reads that a node handles at once. They have places of their own: writes to a room that is locked
/// may wait long.
pub const READS_AT_ONCE: usize = 32;

/// The settings of a deployment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The credentials of services.
    pub services: Services,
    /// The rate of each service's requests.
    pub rate: Rate,
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
    /// The most streams at once.
    pub max_streams: usize,
    /// The most streams at once of users at one address; none for no limit.
    pub max_streams_per_address: Option<usize>,
    /// The pages that may read streams.
    pub origins: AllowedOrigins,
}

/// The parts of a node that the API stands on.
pub struct Context {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// The fan-out to streams.
    pub streams: Arc<Streams>,
    /// A graceful shutdown waits for the requests in flight.
    pub unanswered: TaskTracker,
    /// The state of the whole chat.
    pub overview: Arc<Overview>,
    /// The reader of proxies' headers.
    pub forwarded: ForwardedHeaders,
    /// The figures.
    pub metrics: metrics::Api,
}

/// The API of a node.
pub struct Api {
    chat: Arc<Chat>,
    services: Services,
    rates: Limiter<UserId>,
    /// The memory left for bodies, in KiB.
    bodies: Semaphore,
    writes: Semaphore,
    reads: Semaphore,
    /// The places for work on the archive.
    archives: Arc<Semaphore>,
    max_body_bytes: usize,
    overview: Arc<Overview>,
    streams: Arc<Streams>,
    stream_places: Places,
    tickets: Tickets,
    metrics: metrics::Api,
    /// A graceful shutdown waits for the requests in flight.
    unanswered: TaskTracker,
}

impl Api {
    /// Returns the participant of a service's request.
    fn participant(&self, identity: Identity) -> Participant {
        self.chat.serve(identity)
    }

    /// Returns the participant of a service that acts for a user, or for itself.
    fn acting(&self, service: &Service, user: Option<Identity>) -> Participant {
        let itself = || service.itself();
        self.participant(user.map_or_else(itself, |user| service.acting_for(&user)))
    }
}

/// Returns the routes of the API; none where nobody can be a service.
pub fn router(settings: Settings, context: Context) -> Option<Router> {
    if settings.services.is_empty() {
        return None;
    }
    let Context {
        chat,
        streams,
        unanswered,
        overview,
        forwarded,
        metrics,
    } = context;
    let api = Arc::new(Api {
        chat,
        rates: Limiter::new(settings.rate),
        services: settings.services,
        bodies: Semaphore::new(BODIES_KIB),
        writes: Semaphore::new(WRITES_AT_ONCE),
        reads: Semaphore::new(READS_AT_ONCE),
        archives: Arc::new(Semaphore::new(archive::AT_ONCE)),
        max_body_bytes: request::max_body_bytes(settings.max_message_bytes),
        unanswered,
        overview,
        streams,
        stream_places: Places::new(
            settings.max_streams,
            settings.max_streams_per_address,
            forwarded.clone(),
        ),
        tickets: Tickets::default(),
        metrics,
    });
    let (for_services, mut document) = documented_routes().split_for_parts();
    let (streams, of_streams) = documented_streams().split_for_parts();
    document.merge(of_streams);
    // Before the layers for pages, which answer preflights: https://fetch.spec.whatwg.org/#cors-preflight-fetch
    let streams = streams.method_not_allowed_fallback(answer::no_method);
    let routes = for_services
        .layer(middleware::from_fn_with_state(api.clone(), access::admit))
        .merge(http::for_pages(streams, settings.origins, forwarded))
        .merge(openapi::route(document))
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
        .layer(middleware::map_response(answer::finish))
        .layer(middleware::from_fn_with_state(api.clone(), access::count))
        .with_state(api);
    Some(Router::new().nest(PATH, routes))
}

/// Returns the routes for services, with their part of the document.
fn documented_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(
            messages::send_message,
            messages::get_history,
            changes::edit_message,
            changes::delete_message,
        ))
        .routes(routes!(changes::set_reaction))
        .routes(routes!(changes::set_pinned))
        .routes(routes!(changes::get_changes))
        .routes(routes!(search::search_messages))
        .routes(routes!(
            rooms::create_room,
            rooms::get_room,
            rooms::set_room
        ))
        .routes(routes!(
            rooms::get_members,
            rooms::add_member,
            rooms::remove_member
        ))
        .routes(routes!(inbox::get_reads, inbox::mark_read))
        .routes(routes!(
            inbox::list_rooms,
            inbox::follow_room,
            inbox::unfollow_room
        ))
        .routes(routes!(conversations::list_conversations))
        .routes(routes!(conversations::claim_conversation))
        .routes(routes!(conversations::release_conversation))
        .routes(routes!(conversations::transfer_conversation))
        .routes(routes!(conversations::close_conversation))
        .routes(routes!(presence::get_presence))
        .routes(routes!(presence::disconnect))
        .routes(routes!(overview::get_overview))
        .routes(routes!(archive::export))
        .routes(routes!(archive::erase))
        .routes(routes!(batch::run))
}

/// Returns the routes of streams, for users' pages too, with their part of the document.
fn documented_streams() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(stream::room_events))
        .routes(routes!(stream::activity))
        .routes(routes!(stream::create_ticket))
}
