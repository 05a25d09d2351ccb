//! The server's program: see `parlor --help`.

use std::process::ExitCode;

use parlor::{
    app::{self, App},
    config::{Command, Config},
    http, telemetry,
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
    let result = match config.command {
        Some(Command::Migrate) => migrate(&config).await,
        None => serve(&config).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    telemetry::start(&config.rust_log, config.log_format)?;
    let store = app::store(config)?;
    store.migrate().await?;
    store.close().await;
    tracing::info!("the database is up to date");
    Ok(())
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    telemetry::start(&config.rust_log, config.log_format)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::bind(config).await?;
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
