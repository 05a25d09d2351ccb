//! Newer tokens.

use futures_util::FutureExt;
use tracing::Instrument;

use crate::{
    error::Error,
    realtime::{
        call::{Call, Handler},
        credentials,
        protocol::{RefreshAuth, Refreshed},
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        RefreshAuth::EVENT => |call| call.answer(refresh_auth).boxed(),
        _ => return None,
    })
}

/// Extends the client's lease by a newer token, and takes the client out of rooms beyond the token.
/// For guests, the event is unknown.
async fn refresh_auth(mut call: Call) -> Result<Refreshed, Error> {
    let request = call.request().await;
    let client = &call.client;
    let Some(lease) = &client.lease else {
        return Err(Error::UnknownEvent(RefreshAuth::EVENT.into()));
    };
    let RefreshAuth { token } = request?;
    client.chat.charge_request(&client.participant)?;
    let grant = lease.check(&token)?;
    let renewing = client.chat.renew(&client.participant, grant.identity);
    let span = client.span(call.socket());
    for room in renewing.instrument(span).await? {
        client.unsubscribe(call.socket(), &room);
    }
    lease.extend(grant.expires_at);
    credentials::watch(call.socket(), lease);
    Ok(Refreshed {
        expires_at: grant.expires_at,
    })
}
