//! Serves the conformance stack until Ctrl-C or SIGTERM.

use std::{env, net::SocketAddr};

use parlor::testing::net::{self, AdmissionSettings};
use parlor_conformance::{SETTINGS, TIMEOUTS, router};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = net::listen(address()?, TIMEOUTS, AdmissionSettings::default().into())?;
    println!("listening on {}", listener.local_addr()?);
    tokio::select! {
        () = net::serve(listener, router(SETTINGS), CancellationToken::new()) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn address() -> anyhow::Result<SocketAddr> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    Ok(SocketAddr::new(
        setting("HOST", "127.0.0.1").parse()?,
        setting("PORT", "3000").parse()?,
    ))
}
