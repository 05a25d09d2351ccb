//! `parlor`, without a command: serves until the process is told to end.

use std::{io, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};

use crate::{app::App, config::Config, store::MessageStore, telemetry};

pub(super) async fn run(config: &Config, store: Arc<dyn MessageStore>) -> anyhow::Result<()> {
    telemetry::start(config.rust_log.clone(), config.log_format)?;
    let shutdown = termination()?;
    // Each client is an open file, and shells and service managers allow few by default.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let app = App::bind(config, store)?;
    let address = app.local_addr()?;
    tracing::info!(%address, url = config.host.url(address.port()), version = env!("CARGO_PKG_VERSION"), "listening");
    if let Some(metrics) = app.metrics_addr()? {
        // A field of another name: `address` is that of the clients.
        tracing::info!(%metrics, "listening for Prometheus");
    }
    announce_mode(config);
    let served = app.serve_until(shutdown).await;
    telemetry::stop().await;
    served
}

/// Returns a future of the first SIGTERM or SIGINT from now on.
fn termination() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn announce_mode(config: &Config) {
    match config.key_variable() {
        Some(variable) => {
            tracing::info!("token mode: {variable} verifies the tokens of clients")
        }
        None => tracing::warn!(
            "guest mode: clients choose their own user ids; set JWT_SECRET or JWT_PUBLIC_KEY to require tokens"
        ),
    }
}
