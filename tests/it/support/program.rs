//! Other people's servers, as processes of their own.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::{HOW_TO_GET_TOOLS, eventually};

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

/// Starts a program, and waits until it listens.
pub async fn listening(mut command: Command, address: SocketAddr) -> Child {
    let mut process = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: {HOW_TO_GET_TOOLS}"));
    eventually("a program to listen", async || {
        assert_eq!(process.try_wait().unwrap(), None, "{command:?} ended");
        TcpStream::connect(address).await.is_ok()
    })
    .await;
    process
}
