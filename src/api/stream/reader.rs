//! The readers of streams: their credentials, and their places.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use chrono::{DateTime, Utc};
use url::form_urlencoded;

use crate::{
    api::Api,
    auth::{Caller, Credentials, Identity},
    engine::ForwardedHeaders,
    error::Error,
    model::{RoomId, UserId},
    net::{Peer, Slot, Slots},
};

/// The wait before a reader that found no place tries again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The caller of a request, by its `Authorization` header.
pub struct Requester(pub Credentials);

impl FromRequestParts<Arc<Api>> for Requester {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Error> {
        let credentials = api.services.identify(&parts.headers)?;
        if let Caller::Service(service) = &credentials.caller {
            api.rates.check(service.name())?;
        }
        Ok(Self(credentials))
    }
}

/// The reader of a stream, by a ticket or by the `Authorization` header.
pub struct Reader {
    /// The user, or a service for itself.
    pub identity: Identity,
    /// The end of the reader's credentials.
    pub expires_at: Option<DateTime<Utc>>,
    /// The reader as a service.
    service: Option<crate::auth::Service>,
    /// The only room of the reader's ticket.
    room: Option<RoomId>,
}

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let mut fields = form_urlencoded::parse(query.as_bytes());
        if let Some((_, ticket)) = fields.find(|(name, _)| name == "ticket") {
            return Self::from_ticket(api, &ticket);
        }
        let Requester(credentials) = Requester::from_request_parts(parts, api).await?;
        let (identity, service) = match credentials.caller {
            Caller::Service(service) => (service.itself(), Some(service)),
            Caller::User(identity) => (identity, None),
        };
        Ok(Self {
            identity,
            expires_at: credentials.expires_at,
            service,
            room: None,
        })
    }
}

impl Reader {
    fn from_ticket(api: &Api, ticket: &str) -> Result<Self, Error> {
        let ticket = api.tickets.redeem(ticket).ok_or_else(|| {
            let why =
                "ticket: was used, is too old, or is not from this server; ask for another one";
            Error::Unauthorized(why.into())
        })?;
        Ok(Self {
            identity: ticket.identity,
            expires_at: ticket.expires_at,
            service: None,
            room: ticket.room,
        })
    }

    /// Checks that the reader's ticket, if it has one, is for a room.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`].
    pub fn check_room(&self, room: &RoomId) -> Result<(), Error> {
        match &self.room {
            Some(only) if only != room => Err(Error::Forbidden(
                "roomId: the ticket is not for this room".into(),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the identity of the user whose activity is told.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPayload`] for a service that names no user; [`Error::Forbidden`] for another user,
    /// or a ticket for one room.
    pub fn of_user(&self, named: Option<UserId>) -> Result<Identity, Error> {
        if self.room.is_some() {
            let why = "ticket: is for a room, and not for the user's activity";
            return Err(Error::Forbidden(why.into()));
        }
        match (&self.service, named) {
            (Some(service), Some(user)) => Ok(service.acting_for(&Identity::user(user))),
            (Some(_), None) => Err(Error::InvalidPayload("userId: is required".into())),
            (None, Some(user)) => {
                self.identity.check_user(&user)?;
                Ok(self.identity.clone())
            }
            (None, None) => Ok(self.identity.clone()),
        }
    }
}

/// The places for streams.
#[derive(Debug)]
pub struct Places {
    slots: Slots,
    forwarded: ForwardedHeaders,
}

/// A stream's place; dropping it frees the place.
pub type Place = Slot;

impl Places {
    /// Creates places: so many, and so many for one address.
    pub fn new(max: usize, max_per_address: Option<usize>, forwarded: ForwardedHeaders) -> Self {
        Self {
            slots: Slots::new(max, max_per_address),
            forwarded,
        }
    }

    /// Takes a place. Services count towards the total alone: one backend may read many rooms.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when there is none.
    pub fn take(&self, reader: &Reader, peer: &Peer, headers: &HeaderMap) -> Result<Place, Error> {
        let address = self.forwarded.client_address(peer.address, headers);
        let address = reader.service.is_none().then_some(address);
        let retry_after = RETRY_AFTER;
        let place = self.slots.take(address);
        place.ok_or(Error::RateLimited { retry_after })
    }
}
