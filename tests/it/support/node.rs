//! Scripts of `tests/clients`, run by Node.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{DEADLINE, HOW_TO_GET_TOOLS};

/// The deadline of a script, whose steps have deadlines of their own: browsers are slow beside a
/// busy compiler.
const SCRIPT_DEADLINE: Duration = DEADLINE.saturating_mul(4);

/// The deadline of a script's step: shorter than the wait for its next line, so that the script
/// can say what is missing.
const STEP_DEADLINE: Duration = Duration::from_secs(DEADLINE.as_secs() * 2 / 3);

/// The TypeScript compiler, relative to the scripts.
pub const TSC: &str = "../../node_modules/typescript/bin/tsc";

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
const PACKAGES: [&str; 6] = [
    "socket.io-client",
    "socket.io-client-v2",
    "playwright-core",
    "axe-core",
    "standardwebhooks",
    "typescript",
];

/// Runs a script to its end. A failure or a timeout fails the test with the script's whole output.
pub async fn run(script: &str, arguments: &[&str]) {
    let mut output = tempfile::tempfile().unwrap();
    let mut child = spawn(
        script,
        arguments,
        output.try_clone().unwrap().into(),
        &output,
    );
    match timeout(SCRIPT_DEADLINE, child.wait()).await {
        Ok(status) if status.as_ref().is_ok_and(|status| status.success()) => {}
        Ok(status) => panic!(
            "{script} {arguments:?}: {}\n{}",
            status.unwrap(),
            text(&mut output)
        ),
        Err(_) => panic!(
            "{script} {arguments:?}: waited {SCRIPT_DEADLINE:?} for its end\n{}",
            text(&mut output)
        ),
    }
}

/// A running script that reports its progress; killed when dropped.
pub struct Script {
    lines: Lines<BufReader<ChildStdout>>,
    errors: File,
    child: Child,
}

impl Script {
    /// Starts a script.
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let errors = tempfile::tempfile().unwrap();
        let mut child = spawn(script, arguments, Stdio::piped(), &errors);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            lines,
            errors,
            child,
        }
    }

    /// Sends the script a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("the script runs");
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    /// Returns the next line of output. Without one in time, the test fails with the script's
    /// errors.
    pub async fn line(&mut self) -> String {
        match timeout(DEADLINE, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(ended) => panic!("the script ended: {ended:?}\n{}", text(&mut self.errors)),
            Err(_) => panic!(
                "waited {DEADLINE:?} for a line of the script\n{}",
                text(&mut self.errors)
            ),
        }
    }
}

fn spawn(script: &str, arguments: &[&str], output: Stdio, errors: &File) -> Child {
    assert_packages();
    let mut command = Command::new("node");
    command
        .arg(format!("{SCRIPTS}/{script}"))
        .args(arguments)
        .env("DEADLINE_MS", STEP_DEADLINE.as_millis().to_string())
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command.stdout(output).stderr(errors.try_clone().unwrap());
    command
        .spawn()
        .unwrap_or_else(|error| panic!("node: {error}: {HOW_TO_GET_TOOLS}"))
}

/// Fails the test when one of the scripts' packages is missing.
pub fn assert_packages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules");
    for package in PACKAGES {
        assert!(
            folder.join(package).exists(),
            "the node package {package} is missing: {HOW_TO_GET_TOOLS}"
        );
    }
}

fn text(output: &mut File) -> String {
    let mut bytes = Vec::new();
    output.rewind().unwrap();
    output.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
