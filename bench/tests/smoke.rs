//! A small run of the benchmark: every workload on every server, with all of their checks.

use std::{fs, path::Path, process::Command};

#[test]
fn every_workload_runs_on_every_server_and_is_reported() {
    let bench = Path::new(env!("CARGO_BIN_EXE_parlor-bench"));
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(bench);
    command
        .args(["--runs=1", "--seconds=0.5", "--scale=0.01", "--output"])
        .arg(folder.path());
    let ended = command.output().unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let results = fs::read_to_string(folder.path().join("RESULTS.md")).unwrap();
    for workload in parlor_bench::workload::all() {
        assert!(
            results.contains(&format!("| {} | Parlor | Node", workload.key())),
            "{results}"
        );
    }
    let picture = fs::read_to_string(folder.path().join("results.svg")).unwrap();
    assert!(
        picture.starts_with("<svg") && picture.contains("persist"),
        "{picture}"
    );
}
