//! HAProxy before servers, as a process of its own.

use std::{fs, net::SocketAddr, path::Path, process::Stdio};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::{HOW_TO_GET_TOOLS, eventually, free_port};

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
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = TempDir::with_prefix("parlor-haproxy-").unwrap();
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config.replace("{address}", &address.to_string())).unwrap();
        // Not on every user's path.
        let installed = Path::new("/usr/sbin/haproxy");
        let program = if installed.exists() {
            installed
        } else {
            Path::new("haproxy")
        };
        let mut process = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("haproxy: {error}: {HOW_TO_GET_TOOLS}"));
        eventually("HAProxy to listen", async || {
            assert_eq!(process.try_wait().unwrap(), None, "HAProxy ended");
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }
}
