//! HAProxy before servers, as a process of its own.

use std::{fs, net::SocketAddr, process::Stdio};

use tempfile::TempDir;
use tokio::process::Child;

use super::program;

/// A running HAProxy; killed when dropped.
pub struct HaProxy {
    /// The address that it listens on.
    pub address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl HaProxy {
    /// Starts HAProxy with this configuration, in which `{address}` stands for its own address.
    pub async fn start(config: &str) -> Self {
        let folder = TempDir::with_prefix("parlor-haproxy-").unwrap();
        let file = folder.path().join("haproxy.cfg");
        let (address, process) = program::listening(|address| {
            fs::write(&file, config.replace("{address}", &address.to_string())).unwrap();
            let mut command = program::command("haproxy");
            command.arg("-db").arg("-f").arg(&file);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        })
        .await;
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }
}
