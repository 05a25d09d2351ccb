//! The server's program: see `parlor --help`.

use std::{process::ExitCode, sync::Arc};

use parlor::{
    app::{self, App},
    config::{Command, Config},
    http,
    store::MessageStore,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for a setting that is not valid, as of commands that are used wrongly.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::from_args() {
        Ok(config) => config,
        Err(line) => {
            eprintln!("parlor: {line}");
            return ExitCode::from(USAGE);
        }
    };
    // Opening connects to nothing yet: what fails here is the URL.
    let store = match app::store(&config) {
        Ok(store) => store,
        Err(error) => {
            eprintln!("parlor: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    let result = match config.command {
        Some(Command::Migrate) => migrate(&config, store).await,
        None => serve(&config, store).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn migrate(config: &Config, store: Arc<dyn MessageStore>) -> anyhow::Result<()> {
    telemetry::start(config.rust_log.clone(), config.log_format)?;
    store.migrate().await?;
    store.close().await;
    tracing::info!("the database is up to date");
    Ok(())
}

async fn serve(config: &Config, store: Arc<dyn MessageStore>) -> anyhow::Result<()> {
    telemetry::start(config.rust_log.clone(), config.log_format)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::bind(config, store).await?;
    tracing::info!(address = %app.local_addr()?, version = env!("CARGO_PKG_VERSION"), "listening");
    tracing::warn!("guest mode: clients are who they say they are");
    if !http::has_client() {
        tracing::warn!("built without the Socket.IO client: the page at / does not work");
    }
    app.serve_until(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}
