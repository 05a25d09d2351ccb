//! The server's program: see `parlor --help`.

use std::{fmt, io, process::ExitCode, sync::Arc};

use chrono::Utc;
use parlor::{
    app::{self, App},
    auth::{OPERATOR, TokenClaims},
    config::{Command, Config, Role, TokenRequest},
    http,
    store::MessageStore,
    telemetry,
};
use secrecy::ExposeSecret;
use tikv_jemallocator::Jemalloc;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// Gives back to the system what a burst took, some seconds after it, which the C library's
/// allocator does not: the figures are in `bench/PROFILE.md`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The exit code for a setting that is not valid, as of commands that are used wrongly.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::from_args() {
        Ok(config) => config,
        Err(line) => return refuse(line),
    };
    if let Some(Command::Token(request)) = &config.command {
        return print_token(&config, request);
    }
    match runtime(&config) {
        Ok(runtime) => runtime.block_on(run(&config)),
        Err(error) => fail(format_args!("no threads to work with: {error}")),
    }
}

fn runtime(config: &Config) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    // Where nothing is said, tokio would read the variable itself, and panic when it is empty.
    builder.worker_threads(config.worker_threads());
    builder.enable_all().build()
}

async fn run(config: &Config) -> ExitCode {
    // Opening connects to nothing yet: what fails here is the URL.
    let store = match app::store(config) {
        Ok(store) => store,
        Err(error) => return refuse(format_args!("{error:#}")),
    };
    let result = match &config.command {
        Some(Command::Migrate) => migrate(config, store).await,
        _ => serve(config, store).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("{error:#}")),
    }
}

fn fail(line: impl fmt::Display) -> ExitCode {
    eprintln!("parlor: {line}");
    ExitCode::FAILURE
}

fn refuse(line: impl fmt::Display) -> ExitCode {
    eprintln!("parlor: {line}");
    ExitCode::from(USAGE)
}

fn print_token(config: &Config, request: &TokenRequest) -> ExitCode {
    match token(config, request) {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(line) => refuse(line),
    }
}

fn token(config: &Config, request: &TokenRequest) -> Result<String, String> {
    let secret = config
        .jwt_secret
        .as_ref()
        .ok_or("JWT_SECRET: is required to sign a token")?;
    let seconds = i64::try_from(request.ttl.as_secs()).unwrap_or(i64::MAX);
    let claims = TokenClaims {
        sub: &request.sub,
        exp: Utc::now().timestamp().saturating_add(seconds),
        role: request.role.map(|Role::Operator| OPERATOR),
        rooms: &request.rooms,
        iss: config.jwt_issuer.as_deref(),
        aud: config.jwt_audience.as_deref(),
    };
    claims
        .sign(secret.expose_secret())
        .map_err(|reason| format!("JWT_SECRET: {reason}"))
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
    // Each client is an open file, and shells and service managers start processes with few.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files is not raised");
    }
    let app = App::bind(config, store)?;
    let address = app.local_addr()?;
    tracing::info!(%address, url = config.host.url(address.port()), version = env!("CARGO_PKG_VERSION"), "listening");
    match config.key_variable() {
        Some(variable) => {
            tracing::info!("token mode: clients show a token that {variable} verifies")
        }
        None => tracing::warn!(
            "guest mode: clients are who they say they are; set JWT_SECRET or JWT_PUBLIC_KEY for clients to show tokens"
        ),
    }
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
