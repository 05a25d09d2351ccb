//! The program's start: empty settings, the listening address, an unusable database.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use clap::CommandFactory;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parlor::Config;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr},
};

use crate::support::{Process, RawClient, free_port, postgres::Postgres, within_deadline};

/// The exit code of a failure.
const FAILURE: i32 = 1;
/// The shortest wait of a start for its database.
const SHORT: (&str, &str) = ("DATABASE_START_TIMEOUT", "1");
/// Long after the last attempt within [`SHORT`].
const MUCH_LATER: Duration = Duration::from_secs(20);

/// A start, line by line.
struct Start {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    _folder: TempDir,
}

impl Start {
    fn with(variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("parlor-start-").unwrap();
        let mut command = Process::command();
        command
            .current_dir(folder.path())
            .env("PORT", "0")
            .env("LOG_FORMAT", "json");
        command
            .envs(variables.iter().copied())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            lines,
            _folder: folder,
        }
    }

    /// Waits for the log line with this message.
    async fn logs(&mut self, message: &str) -> Value {
        loop {
            let line = within_deadline(message, self.lines.next_line())
                .await
                .unwrap();
            let line = line.unwrap_or_else(|| panic!("ended without {message}"));
            let line: Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("no log line: {line}"));
            if line["message"].as_str().unwrap().starts_with(message) {
                return line;
            }
        }
    }

    async fn port(&mut self) -> u16 {
        let line = self.logs("listening").await;
        line["address"]
            .as_str()
            .unwrap()
            .parse::<SocketAddr>()
            .unwrap()
            .port()
    }

    fn terminate(&self) {
        let id = self.child.id().expect("the process runs");
        kill(Pid::from_raw(id.try_into().unwrap()), Signal::SIGTERM).unwrap();
    }
}

/// Runs the server to its end.
async fn ended(variables: &[(&str, &str)]) -> Output {
    let mut command = Process::command();
    command
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .envs(variables.iter().copied());
    within_deadline("the end", command.output()).await.unwrap()
}

/// Returns the last line of a failed start.
fn reason(output: &Output) -> String {
    let log = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(FAILURE), "{log}");
    let line = log.lines().last().unwrap().to_owned();
    assert!(line.starts_with("parlor: "), "{line}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_variables_count_as_unset() {
    let command = Config::command();
    let names = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str());
    let mut variables: BTreeMap<&str, &str> = names.map(|name| (name, "")).collect();
    assert!(variables.len() > 30, "{variables:?}");
    // The defaults of these two suit a single server on a machine.
    variables.insert("PORT", "0");
    variables.insert("LOG_FORMAT", "json");
    let mut start = Start::with(&variables.into_iter().collect::<Vec<_>>());
    let port = start.port().await;
    start.logs("guest mode").await;
    start.logs("ready").await;
    let mut ann = RawClient::connect((Ipv4Addr::LOCALHOST, port).into(), "ann").await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn the_help_names_an_empty_variable_too() {
    let mut command = Process::command();
    let output = within_deadline(
        "the help",
        command.env("JWT_SECRET", "").arg("--help").output(),
    )
    .await
    .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && help.contains("[env: JWT_SECRET"),
        "{help}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_listens_on_both_families_and_logs_the_address_to_open_and_the_setting_for_tokens()
 {
    let mut start = Start::with(&[("HOST", "")]);
    let listening = start.logs("listening").await;
    let port = listening["address"]
        .as_str()
        .unwrap()
        .parse::<SocketAddr>()
        .unwrap()
        .port();
    assert_eq!(listening["url"], format!("http://localhost:{port}"));
    let guests = start.logs("guest mode").await;
    assert!(
        guests["message"].as_str().unwrap().contains("JWT_SECRET"),
        "{guests}"
    );
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    if listening["address"].as_str().unwrap().starts_with("[::]") {
        TcpStream::connect((Ipv6Addr::LOCALHOST, port))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_may_be_a_name() {
    let mut start = Start::with(&[("HOST", "localhost")]);
    let port = start.port().await;
    TcpStream::connect(("localhost", port)).await.unwrap();
    start.terminate();
    assert!(
        within_deadline("the end", start.child.wait())
            .await
            .unwrap()
            .success()
    );
}

/// On `::`, IPv4 clients have addresses such as `::ffff:127.0.0.1`.
#[tokio::test(flavor = "multi_thread")]
async fn ipv4_clients_are_counted_and_trusted_by_their_address_on_a_listener_for_both_families() {
    let [one, trusted] = [
        ("MAX_CONNECTIONS_PER_ADDRESS", "1"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let mut start = Start::with(&[one]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, start.port().await));
    start.logs("ready").await;
    let _first = RawClient::connect(address, "ann").await;
    TcpStream::connect(address).await.unwrap();
    assert_eq!(
        start.logs("too many connections").await["address"],
        "127.0.0.1"
    );

    let mut start = Start::with(&[one, trusted]);
    let port = start.port().await;
    let session = async |client: &str| {
        let url = format!("http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling");
        let request = reqwest::Client::new()
            .get(url)
            .header("X-Forwarded-For", client);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(
        [
            session("192.0.2.1").await,
            session("192.0.2.2").await,
            session("192.0.2.2").await
        ],
        [200, 200, 429]
    );
}

/// Returns the URLs of unusable databases, each with the words of its report.
fn unusable(server: &Postgres) -> [(String, [&'static str; 3]); 3] {
    let closed = free_port();
    let wrong_password = server.url("postgres").replace("postgres@", "ann:hunter2@");
    let missing = server
        .url("nowhere")
        .replace("postgres@", "postgres:postgres@");
    let away = format!("postgres://ann:hunter2@127.0.0.1:{closed}/chat");
    [
        (
            wrong_password,
            ["127.0.0.1", "postgres", "password authentication failed"],
        ),
        (missing, ["127.0.0.1", "nowhere", "does not exist"]),
        (away, ["127.0.0.1", "chat", "refused"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_database_ends_the_start_in_time_and_the_reason_is_given() {
    let server = Postgres::start_with_passwords(free_port());
    for (url, [.., why]) in unusable(&server) {
        let begun = Instant::now();
        let line = reason(&ended(&[("DATABASE_URL", &url), SHORT]).await);
        assert!(begun.elapsed() < MUCH_LATER, "{line}");
        assert!(line.contains(why) && !line.contains("hunter2"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_of_a_failed_start_names_the_host_and_the_database() {
    let server = Postgres::start_with_passwords(free_port());
    for (url, words) in unusable(&server) {
        let line = reason(&ended(&[("DATABASE_URL", &url), SHORT]).await);
        let missing: Vec<_> = words.iter().filter(|word| !line.contains(**word)).collect();
        assert!(
            missing.is_empty() && !line.contains(" at line "),
            "{missing:?}: {line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_deadline_goes_on_once_the_database_is_up_and_ends_at_sigterm() {
    let port = free_port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let forever = [
        ("HOST", "127.0.0.1"),
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_START_TIMEOUT", "0"),
    ];
    let mut stopped = Start::with(&forever);
    stopped.logs("waiting for the database").await;
    stopped.terminate();
    assert!(
        within_deadline("the end", stopped.child.wait())
            .await
            .unwrap()
            .success()
    );

    let mut start = Start::with(&forever);
    // The second attempt comes after the pause, as all later ones do.
    start.logs("waiting for the database").await;
    start.logs("waiting for the database").await;
    let _server = Postgres::start_with_tls(port);
    start.logs("ready").await;
}
