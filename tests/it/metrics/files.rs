//! The exposition, the alerts, the dashboard and the documentation, checked with Prometheus's own tool and
//! against each other.

use std::{collections::BTreeSet, fs, io::Write, process::Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::support::{
    Database, Server,
    figures::{Figures, SCRAPED},
    program, within_deadline,
};

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yaml");
const SCRAPE_CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus.yaml");
const DASHBOARD: &str = "deploy/grafana-dashboard.json";
const PAGE: &str = "docs/monitoring.md";

/// Runs Prometheus's tool, and fails unless it approves without a remark.
async fn promtool(arguments: &[&str], input: &str) {
    let mut command = program::command("promtool");
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = command
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}: {}", crate::support::HOW_TO_GET_TOOLS));
    let mut stdin = tool.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = within_deadline("promtool", tool.wait_with_output())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// Returns the figures of a server with a bus, so that none is missing.
async fn figures() -> Figures {
    let server = Server::on(Database::postgres().await, &[SCRAPED]).await;
    server.figures().await
}

/// Returns the names of figures in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| {
        let parts = ["parlor_", "process_"];
        parts
            .iter()
            .any(|part| word.strip_prefix(part).is_some_and(|rest| !rest.is_empty()))
    });
    names.map(str::to_owned).collect()
}

/// Returns the names of the exposition's metrics, by their lines of types.
fn metrics(figures: &Figures) -> BTreeSet<String> {
    let types = figures
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_takes_the_figures_and_each_has_a_help() {
    let figures = figures().await;
    promtool(&["check", "metrics"], &figures.text).await;
    for metric in metrics(&figures) {
        let help = format!("# HELP {metric} ");
        assert!(figures.text.contains(&help), "{metric}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_takes_the_alerts_and_the_job_and_each_alert_rings_when_it_should() {
    promtool(&["check", "rules", ALERTS], "").await;
    promtool(&["check", "config", SCRAPE_CONFIG], "").await;
    let folder = TempDir::with_prefix("parlor-alerts-").unwrap();
    let file = folder.path().join("alerts.test.yaml");
    let tests = include_str!("alerts.test.yaml").replace("RULES", ALERTS);
    fs::File::create(&file)
        .unwrap()
        .write_all(tests.as_bytes())
        .unwrap();
    promtool(&["test", "rules", file.to_str().unwrap()], "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_in_the_dashboard_the_alerts_and_the_documentation_exists() {
    let figures = figures().await;
    let known: BTreeSet<_> = figures
        .names()
        .map(str::to_owned)
        .chain(metrics(&figures))
        .collect();
    let mut dashboard = String::new();
    let json: Value = serde_json::from_str(&fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    for panel in json["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            dashboard += target["expr"].as_str().unwrap();
            dashboard += "\n";
        }
    }
    let texts = [
        (DASHBOARD, dashboard),
        (ALERTS, fs::read_to_string(ALERTS).unwrap()),
        (PAGE, fs::read_to_string(PAGE).unwrap()),
    ];
    for (file, text) in &texts {
        let mut unknown: Vec<_> = named(text).difference(&known).cloned().collect();
        // Elsewhere a process has no figures.
        unknown.retain(|name| cfg!(target_os = "linux") || !name.starts_with("process_"));
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    let documented = named(&texts[2].1);
    let undocumented: Vec<_> = metrics(&figures).difference(&documented).cloned().collect();
    assert!(
        undocumented.is_empty(),
        "{PAGE} leaves out {undocumented:?}"
    );
    let alerts: Value = serde_saphyr::from_str(&texts[1].1).unwrap();
    for rule in alerts["groups"][0]["rules"].as_array().unwrap() {
        let row = format!("\n| `{}` | ", rule["alert"].as_str().unwrap());
        assert!(texts[2].1.contains(&row), "{PAGE} leaves out {row}");
    }
}
