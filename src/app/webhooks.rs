//! The webhooks among the parts.

use std::sync::Arc;

use crate::{
    bus::News,
    chat::UserListener,
    config::Config,
    inbox::Inbox,
    metrics::Metrics,
    model::UserId,
    room::{NewsListener, Rooms},
    store::{MessageStore, MigrateError, StoreError},
    webhooks::Webhooks,
};

/// The listeners to news of other servers.
pub(super) struct Listeners(pub(super) Arc<Inbox>, pub(super) Option<Arc<Webhooks>>);

impl NewsListener for Listeners {
    fn hear(&self, news: &News) {
        let Self(inbox, webhooks) = self;
        inbox.hear(news);
        if let Some(webhooks) = webhooks {
            webhooks.hear(news);
        }
    }
}

/// The webhooks, as they hear of users' clients.
pub(super) struct UsersOf(pub(super) Arc<Webhooks>);

impl UserListener for UsersOf {
    fn connected(&self, user: &UserId) {
        self.0.connected(user);
    }

    fn disconnected(&self, user: &UserId) {
        self.0.disconnected(user);
    }
}

/// Creates the senders of webhooks, if there are receivers. They hear of this node's changes of rooms.
pub(super) fn open(
    config: &Config,
    store: &Arc<dyn MessageStore>,
    rooms: &Rooms,
    metrics: &Metrics,
) -> Option<Arc<Webhooks>> {
    // Checked at the start.
    let settings = config.webhooks().ok().flatten()?;
    let webhooks = Arc::new(Webhooks::new(
        settings,
        store.clone(),
        metrics.webhooks.clone(),
    )?);
    let hearing = webhooks.clone();
    rooms.listen_to_changes(move |room| hearing.changed(room));
    Some(webhooks)
}

/// Brings the tables up to date, and makes the receivers of webhooks known.
///
/// # Errors
///
/// See [`MigrateError`].
pub(super) async fn prepare_tables(
    store: &dyn MessageStore,
    webhooks: Option<&Webhooks>,
) -> Result<(), MigrateError> {
    store.migrate().await?;
    match webhooks {
        None => Ok(()),
        Some(webhooks) => webhooks.register().await.map_err(unprepared),
    }
}

fn unprepared(error: StoreError) -> MigrateError {
    let reason = error.to_string();
    match error {
        StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::Locked { .. } => {
            MigrateError::Unavailable(reason)
        }
        StoreError::Rejected(_) | StoreError::Unreadable(_) => MigrateError::Failed(reason),
    }
}
