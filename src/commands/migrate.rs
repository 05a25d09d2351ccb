//! `parlor migrate`: brings the database's tables up to date.

use std::sync::Arc;

use crate::{config::Config, store::MessageStore, telemetry};

pub(super) async fn run(config: &Config, store: Arc<dyn MessageStore>) -> anyhow::Result<()> {
    telemetry::start(config.rust_log.clone(), config.log_format)?;
    store.migrate().await?;
    store.close().await;
    tracing::info!("the database is up to date");
    Ok(())
}
