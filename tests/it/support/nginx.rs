//! nginx before a server, as a process of its own.

use std::{fs, net::SocketAddr};

use tempfile::TempDir;
use tokio::process::Child;

use super::program;

/// Settings for a user without root's rights, and a log of errors only.
const OF_ITS_OWN: &str = "client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; \
    scgi_temp_path tmp; access_log off;";

/// A single process, which can be killed, and errors on its standard error.
const ARGUMENTS: [&str; 6] = [
    "-c",
    "nginx.conf",
    "-e",
    "stderr",
    "-g",
    "master_process off;",
];

/// A running nginx; killed when dropped.
pub struct Nginx {
    /// The address that it listens on.
    pub address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx with the content of its `http` block, in which `{address}` stands for its own
    /// address.
    pub async fn start(http: &str) -> Self {
        let folder = TempDir::with_prefix("parlor-nginx-").unwrap();
        let (address, process) = program::listening(|address| {
            let http = http.replace("{address}", &address.to_string());
            let settings = format!(
                "daemon off; pid pid; error_log stderr; events {{}} http {{ {OF_ITS_OWN} {http} }}"
            );
            fs::write(folder.path().join("nginx.conf"), settings).unwrap();
            let mut command = program::command("nginx");
            command.arg("-p").arg(folder.path()).args(ARGUMENTS);
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
