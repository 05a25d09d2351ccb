//! The program's commands. Each reports a failure as one line on standard error.

mod archive;
mod migrate;
mod serve;
mod token;
mod webhooks;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::{
    app::App,
    config::{Command, Config},
    store::MessageStore,
};

/// Runs the command given by the command line and the environment, and returns the program's exit
/// code: 2 for a bad setting, 1 for any other failure.
pub fn run() -> ExitCode {
    let config = Config::from_args().map_err(Failure::Setting);
    match config.and_then(|config| execute(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("parlor: {failure}");
            failure.into()
        }
    }
}

/// A command's failure, told in one line.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A bad setting; the line names its variable.
    #[error("{0}")]
    Setting(String),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Setting(_) => Self::from(2),
            Failure::Other(_) => Self::FAILURE,
        }
    }
}

fn execute(config: &Config) -> Result<(), Failure> {
    match &config.command {
        None => with_database(config, serve::run),
        Some(Command::Migrate) => with_database(config, migrate::run),
        Some(Command::Export(request)) => with_database(config, async |_, store| {
            archive::export(request, store).await
        }),
        Some(Command::Erase(request)) => with_database(config, async |_, store| {
            archive::erase(request, store).await
        }),
        Some(Command::Webhooks(request)) => {
            with_database(config, async |_, store| webhooks::run(request, store).await)
        }
        Some(Command::Token(request)) => token::run(config, request).map_err(Failure::Setting),
    }
}

/// Runs a command on the configured database.
fn with_database(
    config: &Config,
    command: impl AsyncFnOnce(&Config, Arc<dyn MessageStore>) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    runtime(config)?.block_on(async {
        // Nothing is connected yet, so a failure is the URL's.
        let store =
            App::open_store(config).map_err(|error| Failure::Setting(format!("{error:#}")))?;
        Ok(command(config, store).await?)
    })
}

fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        // By default tokio reads the variable itself, and panics when it is empty.
        .worker_threads(config.worker_threads())
        .enable_all()
        .build()
        .context("cannot start the worker threads")
}
