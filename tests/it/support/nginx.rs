//! nginx before a server, as a process of its own.

use std::{fs, net::SocketAddr, path::Path, process::Stdio};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::{HOW_TO_GET_TOOLS, eventually, free_port};

/// Settings for a user without root's rights, and a log of errors only.
const OF_ITS_OWN: &str = "client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; \
    scgi_temp_path tmp; access_log off;";

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
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = TempDir::with_prefix("parlor-nginx-").unwrap();
        let http = http.replace("{address}", &address.to_string());
        let settings = format!(
            "daemon off; pid pid; error_log stderr; events {{}} http {{ {OF_ITS_OWN} {http} }}"
        );
        fs::write(folder.path().join("nginx.conf"), settings).unwrap();
        let mut process = command(folder.path())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}: {HOW_TO_GET_TOOLS}"));
        eventually("nginx to listen", async || {
            assert_eq!(process.try_wait().unwrap(), None, "nginx ended");
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

/// Returns the command for a single process, which can be killed.
fn command(folder: &Path) -> Command {
    // Not on every user's path.
    let installed = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if installed.exists() {
        installed
    } else {
        Path::new("nginx")
    });
    command.arg("-p").arg(folder).args([
        "-c",
        "nginx.conf",
        "-e",
        "stderr",
        "-g",
        "master_process off;",
    ]);
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}
