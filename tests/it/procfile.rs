//! The Procfile, started with honcho, in the way of a platform.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

use crate::support::{
    Database, HOW_TO_GET_TOOLS, RawClient, eventually, free_port, within_deadline,
};

/// A stand-in for the release build: runs the program under test, and reports its exit. Honcho does
/// not know the exit, as a shell stands between the two and gets the signals too.
const RELEASE: &str = r#"#!/bin/sh
trap : TERM
"$PARLOR" "$@"
status=$?
echo "parlor ended with $status"
exit $status
"#;

/// Returns a folder with the Procfile and its programs.
fn application() -> TempDir {
    let folder = TempDir::with_prefix("parlor-application-").unwrap();
    let release = folder.path().join("target/release");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("parlor"), RELEASE).unwrap();
    fs::set_permissions(release.join("parlor"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A running honcho. Dropped, it is told to end, so that it ends its children.
struct Honcho(Child);

impl Honcho {
    /// Starts one line of the Procfile.
    fn start(line: &str, application: &Path, database: &Database, port: u16) -> Self {
        let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let tools = repository.join(".venv/bin");
        assert!(
            tools.join("honcho").exists(),
            "honcho is missing: {HOW_TO_GET_TOOLS}"
        );
        let mut command = Command::new(tools.join("python"));
        command
            .args(["-m", "honcho", "start", "--no-colour", line, "-f"])
            .arg(repository.join("Procfile"));
        command
            .current_dir(application)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("DATABASE_URL", database.url())
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string());
        Self(
            command
                .env("PARLOR", env!("CARGO_BIN_EXE_parlor"))
                .spawn()
                .unwrap(),
        )
    }

    fn terminate(&self) {
        if let Some(id) = self.0.id() {
            kill(Pid::from_raw(id.try_into().unwrap()), Signal::SIGTERM).unwrap();
        }
    }

    /// Waits for its end; returns its exit status, and the output of all processes.
    async fn ended(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let reading = self.0.stdout.as_mut().unwrap().read_to_string(&mut said);
        within_deadline("honcho's processes to end", reading)
            .await
            .unwrap();
        let status = within_deadline("honcho to end", self.0.wait())
            .await
            .unwrap();
        (status, said)
    }
}

impl Drop for Honcho {
    fn drop(&mut self) {
        self.terminate();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procfile_migrates_serves_and_stops_cleanly() {
    let (application, database, port) =
        (application(), Database::empty_postgres().await, free_port());
    let start = |line| Honcho::start(line, application.path(), &database, port);

    let (status, said) = start("release").ended().await;
    assert!(status.success(), "{said}");
    database.execute("SELECT 1 FROM messages").await;

    let mut web = start("web");
    eventually("the server to be ready", async || is_ready(port).await).await;
    chat(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    database
        .execute("SELECT 1 / count(*) FROM messages WHERE message = 'hello'")
        .await;

    web.terminate();
    let (_, said) = web.ended().await;
    assert!(
        said.contains("SIGTERM received") && said.contains("parlor ended with 0"),
        "{said}"
    );
}

async fn is_ready(port: u16) -> bool {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn chat(address: SocketAddr) {
    let mut ann = RawClient::connect(address, "ann").await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    let sent = ann
        .call("sendMessage", json!({ "roomId": "r", "message": "hello" }))
        .await;
    assert_eq!(sent["message"]["seq"], 1, "{sent}");
}
