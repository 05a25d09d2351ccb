//! A throw-away PgBouncer before the tests' Postgres: on a port of its own, gone when dropped.

use std::{
    fs,
    net::TcpStream,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use reqwest::Url;
use tempfile::TempDir;

use super::{DEADLINE, HOW_TO_GET_TOOLS, database::admin_url, free_port, postgres::unprivileged};

const POSTGRES_PORT: u16 = 5432;

/// Debian keeps it outside the path of users.
const PLACES: [&str; 3] = [
    "/usr/sbin/pgbouncer",
    "/usr/bin/pgbouncer",
    "/usr/local/bin/pgbouncer",
];

/// A running pooler; killed when dropped.
pub struct PgBouncer {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts the pooler in a mode, such as `transaction`, with further settings, one a line.
    pub fn start(mode: &str, settings: &str) -> Self {
        let folder = TempDir::with_prefix("parlor-pgbouncer-").unwrap();
        let port = free_port();
        let (host, server_port) = server();
        let ini = format!(
            "[databases]\n* = host={host} port={server_port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\nmax_client_conn = 200\n{settings}\n"
        );
        fs::write(folder.path().join("pgbouncer.ini"), ini).unwrap();
        let mut command = Command::new(program());
        command
            .arg("-q")
            .arg("pgbouncer.ini")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .process_group(0);
        unprivileged(folder.path(), &mut command);
        allow_entry(&folder);
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: {HOW_TO_GET_TOOLS}"));
        let pooler = Self {
            process,
            port,
            folder,
        };
        pooler.wait_until_ready();
        pooler
    }

    /// Returns the URL of a database behind the pooler.
    pub fn url(&self, direct: &str) -> String {
        let database = Url::parse(direct)
            .unwrap()
            .path()
            .trim_start_matches('/')
            .to_owned();
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < DEADLINE,
                "PgBouncer did not start: {}",
                log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn program() -> PathBuf {
    PLACES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .unwrap_or_else(|| "pgbouncer".into())
}

/// Returns the host and port of the tests' Postgres, in PgBouncer's terms.
fn server() -> (String, u16) {
    let url = Url::parse(&admin_url()).unwrap();
    let folder = url
        .query_pairs()
        .find(|(name, value)| name == "host" && value.starts_with('/'));
    let host = folder.map_or_else(
        || url.host_str().unwrap().to_owned(),
        |(_, folder)| folder.into_owned(),
    );
    (host, url.port().unwrap_or(POSTGRES_PORT))
}

/// Lets every user read its settings.
fn allow_entry(folder: &TempDir) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
