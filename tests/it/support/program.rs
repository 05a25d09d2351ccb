//! Other people's servers, as processes of their own.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::{HOW_TO_GET_TOOLS, eventually, free_port};

/// Debian keeps servers outside the path of users.
const PLACE: &str = "/usr/sbin";

/// Returns the command of a program; its process is killed when dropped.
pub fn command(name: &str) -> Command {
    let installed = Path::new(PLACE).join(name);
    let mut command = if installed.exists() {
        Command::new(installed)
    } else {
        Command::new(name)
    };
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// The attempts to start a program: another test may take its port before it does.
const ATTEMPTS: usize = 5;

/// Starts a program at a free port, and waits until it listens.
pub async fn listening(command: impl Fn(SocketAddr) -> Command) -> (SocketAddr, Child) {
    for _ in 0..ATTEMPTS {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = command(address);
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: {HOW_TO_GET_TOOLS}"));
        let mut has_ended = false;
        eventually("a program to listen", async || {
            has_ended = process.try_wait().unwrap().is_some();
            has_ended || TcpStream::connect(address).await.is_ok()
        })
        .await;
        if !has_ended {
            return (address, process);
        }
    }
    panic!("a program ends again and again")
}
