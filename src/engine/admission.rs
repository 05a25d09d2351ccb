//! Admission of sessions: a maximum altogether and from one address, a rate for each address, and a
//! maximum of clients outside the chat.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    forwarded::ForwardedHeaders,
    session::{SessionSlots, Settings},
};
use crate::{
    error::Error,
    net::{Admission, Slot, Slots, client_network},
    rates::Limiter,
};

/// The most sessions of clients outside the chat; further ones are refused. Each takes some 20 kB.
/// A client enters within a round trip. But if its session ends before, the library keeps it until
/// the time to enter is over.
pub const MAX_ENTERING_SESSIONS: usize = 8192;

/// The time after which a client may try again if there is no slot for its session.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The time after which a client may try again if too many others are entering the chat.
const RETRY_ENTERING_AFTER: Duration = Duration::from_secs(1);

/// Admits sessions on any carrier, by their clients' addresses.
#[derive(Debug, Clone)]
pub(super) struct SessionAdmission {
    sessions: Slots,
    begun: Arc<Limiter<IpAddr>>,
    /// Slots for clients outside the chat; `None` if they are not limited.
    entering: Option<Arc<Semaphore>>,
    forwarded: ForwardedHeaders,
}

impl SessionAdmission {
    /// Creates an admission with the same maxima as the connections'.
    pub(super) fn new(connections: &Admission, settings: &Settings) -> Self {
        Self {
            sessions: connections.new_slots(),
            begun: Arc::new(Limiter::new(settings.sessions)),
            entering: settings
                .guarded
                .then(|| Arc::new(Semaphore::new(MAX_ENTERING_SESSIONS))),
            forwarded: ForwardedHeaders::new(connections.proxies().clone()),
        }
    }

    /// Returns the reader of proxies' headers.
    pub(super) fn forwarded(&self) -> &ForwardedHeaders {
        &self.forwarded
    }

    /// Admits a session that begins with a request from `peer`.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when the client's address has begun too many sessions lately, or has
    /// too many at once, or there are too many altogether.
    pub(super) fn admit(&self, peer: IpAddr, headers: &HeaderMap) -> Result<SessionSlots, Error> {
        let client = self.forwarded.client_address(peer, headers);
        Ok(SessionSlots {
            session: self.admit_client(client)?,
            entering: self.admit_entering()?,
        })
    }

    fn admit_client(&self, client: IpAddr) -> Result<Slot, Error> {
        self.begun.check(&client_network(client))?;
        self.sessions.take(Some(client)).ok_or(Error::RateLimited {
            retry_after: RETRY_AFTER,
        })
    }

    fn admit_entering(&self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let Some(entering) = &self.entering else {
            return Ok(None);
        };
        let permit = entering.clone().try_acquire_owned();
        permit.map(Some).map_err(|_| Error::RateLimited {
            retry_after: RETRY_ENTERING_AFTER,
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::{net::AdmissionSettings, rates::Rate};

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    const UNLIMITED: Settings = Settings {
        sessions: Rate::UNLIMITED,
        handshake_timeout: Duration::MAX,
        payload_timeout: Duration::MAX,
        max_payload: usize::MAX,
        packets: Rate::UNLIMITED,
        guarded: false,
    };

    #[test]
    fn behind_a_trusted_proxy_each_client_counts_by_itself() {
        let settings = AdmissionSettings {
            max_per_address: Some(1),
            trusted_proxies: "10.0.0.0/8".parse().unwrap(),
            ..AdmissionSettings::default()
        };
        let admission = SessionAdmission::new(&Admission::from(settings), &UNLIMITED);
        let admit = |client: &'static str| {
            let name = HeaderName::from_static("x-forwarded-for");
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(client))]);
            admission.admit(PROXY, &headers)
        };
        let ann = admit("203.0.113.1").unwrap();
        assert_eq!(
            admit("203.0.113.1").err().map(|error| error.code()),
            Some("RATE_LIMITED")
        );
        assert!(admit("203.0.113.2").is_ok());
        drop(ann);
        assert!(admit("203.0.113.1").is_ok());
    }
}
