//! The client examples, each run as its reader runs it, and their quotations in the docs.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rust_socketio::TransportType;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::OnceCell,
    time::timeout,
};

use crate::support::{
    Client, DEADLINE, Database, HOW_TO_GET_TOOLS, Server, eventually, free_port,
    log::append,
    node::{TSC, assert_packages, run},
    relay::{Ending, Relay},
    within_deadline,
};

/// The address in the examples.
const ADDRESS: &str = "http://localhost:3000";

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");

/// A module for Node, loaded before an example, that can set the clock ahead.
const ASLEEP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/asleep.mjs");

/// Passes lines to the TypeScript example, which reads no input: that would need Node's types.
const READ_LINES: &str =
    "\nrequire(\"node:readline\").createInterface({ input: process.stdin }).on(\"line\", say);\n";

/// Generates the tests of each example. An example is named after its user.
macro_rules! examples {
    ($($user:ident),+) => {
        $(mod $user {
            #[tokio::test(flavor = "multi_thread")]
            async fn shows_each_message_once_also_after_the_server_was_replaced() {
                super::shows_each_message_once_also_after_the_server_was_replaced(stringify!($user)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn misses_nothing_when_a_connection_ends_with_the_answer_to_its_join() {
                super::misses_nothing_when_a_connection_ends_with_the_answer_to_its_join(stringify!($user)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn says_why_a_message_was_refused() {
                super::says_why_a_message_was_refused(stringify!($user)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn sends_each_message_once_and_in_order_despite_temporary_refusals() {
                super::sends_each_message_once_and_in_order_despite_temporary_refusals(stringify!($user)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn shows_all_messages_sent_at_once_by_each_transport() {
                super::shows_all_messages_sent_at_once_by_each_transport(stringify!($user)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn reads_all_missed_messages_and_skips_deleted_ones() {
                super::reads_all_missed_messages_and_skips_deleted_ones(stringify!($user)).await;
            }
        })+
    };
}

examples!(ann, bea, node, typescript, python, sync, rust, old);

/// Generates the tests of each example whose client postpones sends on a connection with an overdue
/// heartbeat.
macro_rules! sleepers {
    ($($user:ident),+) => {
        mod asleep {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $user() {
                super::stores_lines_written_right_after_a_sleep_once_and_in_order(stringify!($user)).await;
            })+
        }
    };
}

sleepers!(ann, bea, node, typescript);

async fn shows_each_message_once_also_after_the_server_was_replaced(user: &str) {
    let (database, port, site) = (Database::sqlite(), free_port(), free_port());
    append(&database, "lobby", "bob", &["before 1", "before 2"]).await;
    let server = start(database, port, site, &[]).await;
    let mut example = Example::start(user, &server.url(), site).await;
    example.shows("bob: before 1").await;
    example.shows("bob: before 2").await;
    example.shows(&format!("{user}: hello from {user}")).await;
    say(&server, "live").await;
    example.shows("bob: live").await;
    meddle(&server).await;

    let (database, ended) = server.stop().await;
    ended.unwrap();
    append(&database, "lobby", "bob", &["missed 1", "missed 2"]).await;
    let server = start(database, port, site, &[]).await;
    example.shows("bob: missed 1").await;
    example.shows("bob: missed 2").await;
    meddle(&server).await;
    let log = say(&server, "live again").await;
    example.shows("bob: live again").await;

    example.end().await;
    let texts: Vec<_> = log
        .iter()
        .map(|message| message["message"].as_str().unwrap())
        .collect();
    let hello = format!("hello from {user}");
    assert_eq!(
        texts,
        [
            "before 1",
            "before 2",
            &hello,
            "live",
            "missed 1",
            "missed 2",
            "live again"
        ]
    );
    assert_eq!(log[2]["userId"], user);
    assert!(log[2]["clientMessageId"].is_string(), "{}", log[2]);
}

/// Does everything in the room that these clients know nothing of.
async fn meddle(server: &Server) {
    let user = server.client("meddler").await;
    let join = json!({ "roomId": "lobby", "lastRevision": 0 });
    let joined = user.ok("joinRoom", join).await;
    let last = joined["lastSeq"].as_i64().unwrap();
    for seq in 1..=last {
        let at = json!({ "roomId": "lobby", "seq": seq });
        let react = json!({ "roomId": "lobby", "seq": seq, "reaction": "+", "on": true });
        let pin = json!({ "roomId": "lobby", "seq": seq, "on": true });
        for (event, payload) in [("setReaction", react), ("setPinned", pin), ("markRead", at)] {
            user.ok(event, payload).await;
        }
    }
    let operator = Client::by(TransportType::Websocket, &server.url(), json!({})).await;
    let join = json!({ "roomId": "lobby", "operatorId": "warden" });
    operator.ok("joinRoom", join).await;
    let create = json!({ "roomId": "lobby", "title": "Lobby" });
    let created = operator.call("createRoom", create).await;
    let set = json!({ "roomId": "lobby", "title": format!("{last} messages") });
    let changed = operator.ok("setRoom", set).await;
    assert_eq!(changed["changed"], true, "{created}");
}

/// A client drops the answer, and keeps the message after it for its next connection.
async fn misses_nothing_when_a_connection_ends_with_the_answer_to_its_join(user: &str) {
    let site = free_port();
    let server = start(Database::sqlite(), 0, site, &[]).await;
    let relay = Relay::start(server.address()).await;
    let mut example = Example::start(user, &relay.url(), site).await;
    example.shows(&format!("{user}: hello from {user}")).await;

    // Python's client does not reconnect after a close packet; Parlor sends it none.
    let is_python = ["python", "sync"].contains(&user);
    relay.break_twice(if is_python {
        Ending::Refusal
    } else {
        Ending::Packet
    });
    say(&server, "missed").await;
    relay.joined().await;
    say(&server, "at the end").await;
    example.shows("bob: missed").await;
    example.shows("bob: at the end").await;
    say(&server, "live again").await;
    example.shows("bob: live again").await;
    example.end().await;
}

async fn says_why_a_message_was_refused(user: &str) {
    let (port, site) = (free_port(), free_port());
    let server = start(Database::sqlite(), port, site, &["--max-message-bytes=3"]).await;
    let example = Example::start(user, &server.url(), site).await;
    let refused = async || example.complaints().contains("MESSAGE_TOO_LARGE");
    eventually("the example to say what was refused", refused).await;
    example.end().await;
}

async fn sends_each_message_once_and_in_order_despite_temporary_refusals(user: &str) {
    let (port, site) = (free_port(), free_port());
    let server = start(
        Database::sqlite(),
        port,
        site,
        &["--messages-per-second=1", "--message-burst=3"],
    )
    .await;
    let mut example = Example::start(user, &server.url(), site).await;
    let hello = format!("hello from {user}");
    example.shows(&format!("{user}: {hello}")).await;
    let texts = ["one", "two", "three", "four", "five", "six"];
    for text in &texts[..5] {
        example.say(text).await;
    }
    for (place, text) in texts.iter().enumerate() {
        if place == 3 {
            example.say(texts[5]).await;
        }
        example.shows(&format!("{user}: {text}")).await;
    }
    assert_eq!(
        said(&server).await,
        [&[hello.as_str()], &texts[..]].concat()
    );
    // The client module repeats without a word.
    let complaints = example.complaints();
    assert!(
        user == "ann" || complaints.contains("RATE_LIMITED"),
        "nothing was refused: {complaints}"
    );
    example.end().await;
}

/// More than Python's client takes in a poll's answer by default, and more than its threads keep in
/// order.
const AT_ONCE: usize = 150;

async fn shows_all_messages_sent_at_once_by_each_transport(user: &str) {
    let site = free_port();
    let server = start(Database::sqlite(), 0, site, &[]).await;
    // The relay keeps clients from upgrading to a WebSocket.
    let relay = Relay::start(server.address()).await;
    let urls = [server.url(), relay.url()];
    // Rust's client reads only the first part of a poll's answer, about 8 kB.
    let count = if user == "rust" { 1 } else { 2 };
    for url in &urls[..count] {
        let mut example = Example::start(user, url, site).await;
        let hello = format!("{user}: hello from {user}");
        while example.line(&hello).await != hello {}
        say_all(&server, AT_ONCE).await;
        for number in 1..=AT_ONCE {
            example.shows(&format!("bob: message {number}")).await;
        }
        example.end().await;
    }
}

async fn reads_all_missed_messages_and_skips_deleted_ones(user: &str) {
    let (database, port, site) = (Database::sqlite(), free_port(), free_port());
    append(
        &database,
        "lobby",
        "bob",
        &["before 1", "before 2", "before 3"],
    )
    .await;
    delete(&database, &[2]).await;
    let server = start(database, port, site, &[]).await;
    let mut example = Example::start(user, &server.url(), site).await;
    for line in [
        "bob: before 1",
        "bob: before 3",
        &format!("{user}: hello from {user}"),
    ] {
        example.shows(line).await;
    }

    // Message 4, the hello, is followed by 124 missed messages, and the last of those are gone.
    let (database, ended) = server.stop().await;
    ended.unwrap();
    let missed: Vec<_> = (5..=128).map(|seq| format!("missed {seq}")).collect();
    append(
        &database,
        "lobby",
        "bob",
        &missed.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    delete(&database, &[5, 60, 61, 62, 127, 128]).await;
    let server = start(database, port, site, &[]).await;
    for seq in (6..127).filter(|seq| !(60..=62).contains(seq)) {
        example.shows(&format!("bob: missed {seq}")).await;
    }
    say(&server, "live").await;
    example.shows("bob: live").await;
    example.end().await;
}

/// The library sees by the wall clock that the heartbeat is overdue, and keeps sends for the next
/// connection.
async fn stores_lines_written_right_after_a_sleep_once_and_in_order(user: &str) {
    let site = free_port();
    let server = start(Database::sqlite(), 0, site, &[]).await;
    let mut example = Example::start(user, &server.url(), site).await;
    let hello = format!("hello from {user}");
    example.shows(&format!("{user}: {hello}")).await;
    example.signal(Signal::SIGUSR2);
    eventually("the clock to be ahead", async || {
        example.complaints().contains("asleep")
    })
    .await;
    let texts = ["one", "two", "three"];
    for text in texts {
        example.say(text).await;
    }
    for text in texts {
        example.shows(&format!("{user}: {text}")).await;
    }
    assert_eq!(
        said(&server).await,
        [&[hello.as_str()], &texts[..]].concat()
    );
    example.end().await;
}

/// Deletes messages of the room by hand.
async fn delete(database: &Database, seqs: &[i64]) {
    for seq in seqs {
        database
            .execute(&format!(
                "DELETE FROM messages WHERE room_id = 'lobby' AND seq = {seq}"
            ))
            .await;
    }
}

/// Sends `message 1` and so on as Bob, all at once, and waits until they are stored.
async fn say_all(server: &Server, count: usize) {
    let mut bob = server.raw("bob").await;
    bob.call("joinRoom", json!({ "roomId": "lobby" })).await;
    for number in 1..=count {
        bob.emit(
            "sendMessage",
            &json!({ "roomId": "lobby", "message": format!("message {number}") }),
        )
        .await;
    }
    bob.flush().await;
    while bob.next("newMessage").await["message"] != format!("message {count}") {}
}

/// Returns the texts in the room.
async fn said(server: &Server) -> Vec<String> {
    let mut bob = server.raw("bob").await;
    bob.call("joinRoom", json!({ "roomId": "lobby" })).await;
    let page = bob.call("getHistory", json!({ "roomId": "lobby" })).await;
    let messages = page["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["message"].as_str().unwrap().to_owned())
        .collect()
}

/// Starts a server that allows the pages of a site on another port.
async fn start(database: Database, port: u16, site: u16, flags: &[&str]) -> Server {
    let origins = format!("--allowed-origins=http://127.0.0.1:{site}");
    let server = Server::bind(port, database, &[&[origins.as_str()], flags].concat()).await;
    server.until_ready().await;
    server
}

/// Sends a message as Bob, and returns the room's messages up to it.
async fn say(server: &Server, text: &str) -> Vec<Value> {
    let mut bob = server.raw("bob").await;
    bob.call("joinRoom", json!({ "roomId": "lobby" })).await;
    bob.call("sendMessage", json!({ "roomId": "lobby", "message": text }))
        .await;
    let mut page = bob.call("getHistory", json!({ "roomId": "lobby" })).await;
    serde_json::from_value(page["messages"].take()).unwrap()
}

/// A running example; killed when dropped.
struct Example {
    process: Child,
    input: ChildStdin,
    conversation: Lines<BufReader<ChildStdout>>,
    complaints: NamedTempFile,
    _folder: TempDir,
}

impl Example {
    async fn start(user: &str, url: &str, site: u16) -> Self {
        assert_packages();
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let complaints = NamedTempFile::new().unwrap();
        let mut command = command(user, folder.path(), url, site).await;
        command.env("PARLOR_URL", url).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.reopen().unwrap());
        let spawned = command.spawn();
        let mut process =
            spawned.unwrap_or_else(|error| panic!("{command:?}: {error}: {HOW_TO_GET_TOOLS}"));
        let conversation = BufReader::new(process.stdout.take().unwrap()).lines();
        let input = process.stdin.take().unwrap();
        Self {
            process,
            input,
            conversation,
            complaints,
            _folder: folder,
        }
    }

    /// Waits for the next line of the conversation, which must be this one.
    async fn shows(&mut self, line: &str) {
        let next = self.line(line).await;
        assert_eq!(next, line, "{}", self.complaints());
    }

    /// Returns the next line of the conversation; `expected` only explains a failure.
    async fn line(&mut self, expected: &str) -> String {
        let next = timeout(DEADLINE, self.conversation.next_line()).await;
        let next = next
            .unwrap_or_else(|_| panic!("waited for {expected:?}: {}", self.complaints()))
            .unwrap();
        next.unwrap_or_else(|| panic!("ended instead of {expected:?}: {}", self.complaints()))
    }

    /// Writes a line of input, which the example sends.
    async fn say(&mut self, text: &str) {
        self.input
            .write_all(format!("{text}\n").as_bytes())
            .await
            .unwrap();
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.id().expect("the example runs");
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    fn complaints(&self) -> String {
        fs::read_to_string(self.complaints.path()).unwrap()
    }

    /// Ends the example, which must have nothing more to show.
    async fn end(mut self) {
        self.signal(Signal::SIGTERM);
        within_deadline("the example to end", self.process.wait())
            .await
            .unwrap();
        assert_eq!(self.conversation.next_line().await.unwrap(), None);
    }
}

/// Returns the command that starts a user's example; `folder` is for its files.
async fn command(user: &str, folder: &Path, url: &str, site: u16) -> Command {
    let (program, file) = match user {
        "ann" | "bea" => ("node", repository("tests/clients/browser_example.mjs")),
        "node" => ("node", example("node.mjs")),
        "typescript" => ("node", compiled(folder, url).await),
        "python" => (PYTHON, example("python_client.py")),
        "sync" => (PYTHON, example("python_sync.py")),
        "old" => ("node", beside_the_old_client(folder)),
        "rust" => return Command::new(built()),
        user => panic!("no example speaks for {user}"),
    };
    let mut command = Command::new(program);
    if program == "node" {
        command.args(["--import", ASLEEP]);
    }
    command.arg(file);
    if let Some(page) = page(user) {
        command.args([url, &site.to_string(), page, user]);
    }
    command
}

/// Returns the file of an example that is a page.
fn page(user: &str) -> Option<&'static str> {
    match user {
        "ann" => Some("page.html"),
        "bea" => Some("browser.html"),
        _ => None,
    }
}

/// Compiles the TypeScript example to JavaScript, with the server's address, in a folder beside its
/// packages.
async fn compiled(folder: &Path, url: &str) -> PathBuf {
    // Compiled once for all tests, as it takes seconds, and many more beside other work.
    static COMPILED: OnceCell<String> = OnceCell::const_new();
    let text = COMPILED.get_or_init(compile).await;
    symlink(repository("node_modules"), folder.join("node_modules")).unwrap();
    let file = folder.join("typescript.js");
    fs::write(&file, text.replace(ADDRESS, url) + READ_LINES).unwrap();
    file
}

async fn compile() -> String {
    let folder = TempDir::new().unwrap();
    run(
        TSC,
        &[
            "-p",
            "tests/clients",
            "--outDir",
            folder.path().to_str().unwrap(),
        ],
    )
    .await;
    fs::read_to_string(folder.path().join("examples/clients/typescript.js")).unwrap()
}

/// Puts the old client's example into a folder where `socket.io-client` is version 2.
fn beside_the_old_client(folder: &Path) -> PathBuf {
    let packages = folder.join("node_modules");
    fs::create_dir(&packages).unwrap();
    symlink(
        repository("node_modules/socket.io-client-v2"),
        packages.join("socket.io-client"),
    )
    .unwrap();
    let file = folder.join("old_client.js");
    fs::copy(example("old_client.js"), &file).unwrap();
    file
}

/// Returns the Rust example's program. Cargo builds it before all tests, but not before those of a
/// single target.
fn built() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/rust_client");
    let modified = |file: &Path| {
        fs::metadata(file)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let current = modified(&program) >= modified(&example("rust.rs"));
    assert!(
        current,
        "{} is missing or old: run `cargo build --example rust_client`",
        program.display()
    );
    program
}

fn example(name: &str) -> PathBuf {
    repository("examples/clients").join(name)
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[tokio::test]
async fn the_types_allow_the_contract_and_forbid_mistakes() {
    run(TSC, &["-p", "tests/clients", "--noEmit"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_move_on_the_pages_of_others() {
    let (port, site) = (free_port(), free_port());
    let server = start(Database::sqlite(), port, site, &[]).await;
    run("cursors.mjs", &[&server.url(), &site.to_string()]).await;
}

/// Tests with calls in a browser, which need a core each: the Makefile runs those by their module's name.
mod page {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn people_call_each_other_on_the_pages_of_the_example() {
        let (port, site) = (free_port(), free_port());
        let server = start(Database::sqlite(), port, site, &[]).await;
        run("call_example.mjs", &[&server.url(), &site.to_string()]).await;
    }
}

/// The folders of examples, each with the pages that quote them.
const QUOTED: [(&str, &[&str]); 4] = [
    ("examples/clients", &["README.md", "docs/clients.md"]),
    ("examples/backends", &["docs/backends.md"]),
    ("examples/signals", &["docs/clients.md"]),
    ("examples/calls", &["docs/calls.md"]),
];

/// A quotation is a fenced block after a line like `<!-- examples/clients/node.mjs -->`.
#[test]
fn the_docs_quote_every_example_as_it_is() {
    for (folder, pages) in QUOTED {
        let pages = pages
            .iter()
            .map(|page| fs::read_to_string(repository(page)).unwrap());
        let mut quoted: Vec<_> = pages.flat_map(|page| quotations(folder, &page)).collect();
        quoted.sort();
        let files = fs::read_dir(repository(folder))
            .unwrap()
            .map(|file| file.unwrap().path());
        let mut examples: Vec<_> = files
            .map(|file| (name(&file), fs::read_to_string(file).unwrap()))
            .collect();
        examples.sort();
        let names = |files: &[(String, String)]| {
            files
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&quoted), names(&examples));
        for (quotation, example) in quoted.iter().zip(&examples) {
            assert_eq!(quotation, example);
        }
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Returns a text's quotations of examples in a folder: each file, and the content of its block.
fn quotations(folder: &str, text: &str) -> Vec<(String, String)> {
    let marker = format!("<!-- {folder}/");
    let quotations = text.split(marker.as_str()).skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->\n").expect("the marker's end");
        let (_, block) = rest
            .trim_start()
            .strip_prefix("```")
            .expect("a block")
            .split_once('\n')
            .expect("a block");
        let (block, _) = block.split_once("```").expect("the block's end");
        (name.to_owned(), block.to_owned())
    });
    quotations.collect()
}
