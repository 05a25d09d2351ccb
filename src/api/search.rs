//! Searching messages.

use std::sync::Arc;

use axum::extract::State;

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refused},
    request::{Actor, Query},
};
use crate::{
    chat,
    contract::{FoundMessages, SearchMessages},
    error::Error,
};

/// Finds messages by their words, the newest first: in a room, or in those that a user follows.
#[utoipa::path(
    get, path = "/search", tag = "messages", params(SearchMessages, Actor),
    responses((status = 200, description = "The messages.", body = FoundMessages), Refused)
)]
pub async fn search_messages(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    Query(query): Query<SearchMessages>,
    Query(user): Query<Actor>,
) -> Result<Answer, Error> {
    let user = user.identity()?;
    if user.is_none() && query.room_id.is_none() {
        let why = "roomId: is required without a userId, whose rooms are searched";
        return Err(Error::InvalidPayload(why.into()));
    }
    let (reader, limit) = (api.acting(&service, user), query.limit());
    let asked = chat::Query {
        text: &query.query,
        room: query.room_id,
        before: query.before_seq,
        limit,
    };
    let (messages, has_more) = api.chat.search(&reader, asked).await?;
    Ok(Answer::ok(&FoundMessages { messages, has_more }))
}
