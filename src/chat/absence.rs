//! The absence of operators: one without a client on any server for some time loses its conversations.
//!
//! Each server notes the operators with clients on it, and any server takes the conversations of those
//! who were not noted. A server that could not write, or has just started, waits: the others may not
//! have written, either.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Chat;
use crate::{error::Error, store::MessageStore};

/// The time between two looks.
const ABSENCE_INTERVAL: Duration = Duration::from_secs(10);

/// The successful looks before conversations are taken: the other servers have looked by then.
const LOOKS_BEFORE: u32 = 2;

/// Looks for operators who are away.
pub struct Absence {
    chat: Arc<Chat>,
    store: Arc<dyn MessageStore>,
    away: Duration,
    interval: Duration,
}

impl Absence {
    /// Creates the look for operators who are away for longer than a time.
    pub fn new(chat: Arc<Chat>, store: Arc<dyn MessageStore>, away: Duration) -> Self {
        Self {
            chat,
            store,
            away,
            // A short time, as tests have it, needs more looks.
            interval: ABSENCE_INTERVAL.min(away / 4),
        }
    }

    /// Looks again and again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let mut looks = 0;
            loop {
                looks = match self.look(looks >= LOOKS_BEFORE).await {
                    Ok(()) => looks + 1,
                    Err(error) => {
                        tracing::debug!(%error, "operators not looked for");
                        0
                    }
                };
                sleep(self.interval).await;
            }
        })
        .await;
    }

    /// Notes the operators here, and takes the conversations of those who are away. An operator was noted
    /// at most an interval before it went.
    async fn look(&self, may_release: bool) -> Result<(), Error> {
        let Some(store) = self.store.conversations() else {
            return Ok(());
        };
        self.chat.see_operators(store).await?;
        if may_release {
            let unseen = self.away + self.interval;
            self.chat.release_absent(store, unseen).await?;
        }
        Ok(())
    }
}
