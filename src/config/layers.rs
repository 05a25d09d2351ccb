//! The settings of each layer, taken from the configuration. The layers do not know where their
//! settings come from.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use secrecy::ExposeSecret;

use super::Config;
use crate::{
    api,
    auth::{Services, Verifier},
    chat::Limits,
    engine,
    net::{AdmissionSettings, Timeouts},
    rates::Rate,
    realtime,
    room::PresenceSettings,
    store::Encryption,
};

/// The connections of one user, such as tabs, with room in the burst of requests to join all their
/// rooms at once.
const REJOIN_FACTOR: u32 = 8;

impl From<&Config> for Timeouts {
    fn from(config: &Config) -> Self {
        Self {
            tcp_user_timeout: config.tcp_user_timeout_ms,
            handshake_timeout: config.handshake_timeout_ms,
        }
    }
}

impl From<&Config> for AdmissionSettings {
    fn from(config: &Config) -> Self {
        let per_address = config.max_connections_per_address;
        Self {
            max_connections: config.max_connections,
            max_per_address: (per_address > 0).then_some(per_address),
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }
}

impl From<&Config> for engine::Settings {
    fn from(config: &Config) -> Self {
        Self {
            sessions: Rate {
                per_second: config.connects_per_second,
                burst: config.connect_burst,
            },
            handshake_timeout: config.handshake_timeout_ms,
            // A client must answer a ping within this time, and it answers with a payload.
            payload_timeout: config.ping_interval_ms + config.ping_timeout_ms,
            max_payload: realtime::Settings::from(config).max_payload(),
            packets: Rate {
                per_second: config.events_per_second,
                burst: realtime::EVENT_BURST,
            },
            guarded: true,
        }
    }
}

impl From<&Config> for realtime::Settings {
    fn from(config: &Config) -> Self {
        Self {
            ping_interval: config.ping_interval_ms,
            ping_timeout: config.ping_timeout_ms,
            max_message_bytes: config.max_message_bytes,
            send_queue_packets: config.send_queue_packets,
            handshake_timeout: config.handshake_timeout_ms,
        }
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            max_message_bytes: config.max_message_bytes,
            search: config.search,
            conversations: config.conversations.conversations.clone(),
            edit_window: Some(config.edit_window_seconds).filter(|window| !window.is_zero()),
            call_parties: config.calls.call_max_parties,
            history_limit: config.history_limit,
            max_rooms: config.max_rooms_per_socket,
            messages: Rate {
                per_second: config.messages_per_second,
                burst: config.message_burst,
            },
            signals: Rate {
                per_second: config.signals.signals_per_second,
                burst: config.signals.signal_burst,
            },
            requests: Rate {
                per_second: config.requests_per_second,
                burst: request_burst(config.max_rooms_per_socket),
            },
        }
    }
}

impl Config {
    /// Returns the settings of the REST API; `verifier` is that of clients' tokens.
    pub fn api(&self, verifier: Option<Arc<Verifier>>) -> api::Settings {
        let per_second = self.api_requests_per_second;
        let burst = per_second.saturating_mul(2);
        api::Settings {
            services: Services {
                keys: self.api_keys.clone(),
                verifier,
            },
            rate: Rate {
                per_second,
                burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
            },
            max_message_bytes: self.max_message_bytes,
            max_streams: self.max_streams,
            max_streams_per_address: Some(self.max_streams_per_address).filter(|max| *max > 0),
            origins: self.allowed_origins.clone(),
        }
    }
}

impl From<&Config> for PresenceSettings {
    fn from(config: &Config) -> Self {
        Self {
            grace: config.presence_grace_ms,
            names_limit: config.presence_names_limit,
        }
    }
}

impl From<&Config> for Encryption {
    fn from(config: &Config) -> Self {
        match config.dyno {
            Some(_) => Self::Required,
            None => Self::Optional,
        }
    }
}

impl Config {
    /// Returns the age at which messages are removed, or none.
    pub fn retention(&self) -> Option<Duration> {
        let days = self.retention_days as u64;
        (days > 0).then(|| Duration::from_secs(days * 24 * 3_600))
    }

    /// Returns the verifier of clients' tokens, or none if clients come as guests.
    ///
    /// # Errors
    ///
    /// One line with the name of the bad variable, without its value.
    pub fn verifier(&self) -> Result<Option<Verifier>, String> {
        let mut verifier = match (&self.jwt_secret, &self.jwt_public_key) {
            (None, None) => {
                self.check_unused_claims()?;
                return self.check_conversations().map(|()| None);
            }
            (Some(_), Some(_)) => {
                return Err("JWT_SECRET: set it or JWT_PUBLIC_KEY, not both".into());
            }
            (Some(secret), None) => Verifier::from_secret(secret.expose_secret())
                .map_err(|reason| format!("JWT_SECRET: {reason}"))?,
            (None, Some(pem)) => {
                Verifier::from_public_key(&pem.expose_secret().replace("\\n", "\n"))
                    .map_err(|reason| format!("JWT_PUBLIC_KEY: {reason}"))?
            }
        };
        if let Some(issuer) = &self.jwt_issuer {
            verifier.require_issuer(issuer);
        }
        if let Some(audience) = &self.jwt_audience {
            verifier.require_audience(audience);
        }
        Ok(Some(verifier))
    }

    /// Rejects requirements on tokens where clients are guests: an operator who sets one does not
    /// mean to let everybody in.
    fn check_unused_claims(&self) -> Result<(), String> {
        let unused = [
            ("JWT_ISSUER", &self.jwt_issuer),
            ("JWT_AUDIENCE", &self.jwt_audience),
        ];
        match unused.iter().find(|(_, value)| value.is_some()) {
            Some((variable, _)) => Err(format!("{variable}: needs JWT_SECRET or JWT_PUBLIC_KEY")),
            None => Ok(()),
        }
    }
}

/// Returns the burst of a user's requests, enough for [`REJOIN_FACTOR`] connections to join all
/// their rooms again after a break.
fn request_burst(max_rooms: usize) -> NonZeroU32 {
    let max_rooms = u32::try_from(max_rooms).unwrap_or(u32::MAX);
    NonZeroU32::new(REJOIN_FACTOR.saturating_mul(max_rooms)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_limit_of_0_is_no_limit() {
        let per_address = |flags: &[&str]| {
            let config = Config::try_parse_from([&["parlor"], flags].concat()).unwrap();
            AdmissionSettings::from(&config).max_per_address
        };
        assert_eq!(per_address(&[]), None);
        assert_eq!(per_address(&["--max-connections-per-address=3"]), Some(3));
    }

    #[test]
    fn a_burst_of_requests_lets_every_tab_join_all_its_rooms_at_once() {
        let config = Config::try_parse_from(["parlor", "--max-rooms-per-socket=100000"]).unwrap();
        assert_eq!(Limits::from(&config).requests.burst.get(), 800_000);
    }
}
