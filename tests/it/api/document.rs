//! The OpenAPI document, and the API as a stranger's tool finds it by the document.

use std::{fs, process::Stdio};

use reqwest::Method;
use serde_json::Value;
use tokio::process::Command;

use super::{KEY, WITH_KEY, server_on};
use crate::support::{Database, HOW_TO_GET_TOOLS, Server};

/// The tool that tries an API by its document.
const SCHEMATHESIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/schemathesis");

/// Returns the methods and paths of a document.
pub fn operations(document: &Value) -> Vec<(Method, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    operations.collect()
}

/// Finds the references in a document.
fn references<'a>(json: &'a Value, found: &mut Vec<&'a str>) {
    match json {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_nothing_that_it_does_not_have() {
    let (_server, backend) = server_on(Database::sqlite()).await;
    let document = backend.get("/openapi.json", &[]).await.body;
    let mut found = vec![];
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (method, path) in operations(&document) {
        let operation = &document["paths"][path.as_str()][method.as_str().to_lowercase()];
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert!(
            operation["responses"]["200"].is_object() || operation["responses"]["201"].is_object()
        );
        for status in ["400", "401", "403", "429", "503"] {
            let answer = &operation["responses"][status]["content"]["application/json"];
            assert!(answer.is_object(), "{method} {path} {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_backends_lists_the_routes_of_the_document() {
    let (_server, backend) = server_on(Database::sqlite()).await;
    let document = backend.get("/openapi.json", &[]).await.body;
    let operations = operations(&document).into_iter();
    let mut routes: Vec<_> = operations
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    routes.sort();
    let page = fs::read_to_string("docs/backends.md").unwrap();
    let rows = page.lines().filter_map(|row| row.strip_prefix("| `"));
    let names = rows.filter_map(|row| Some(row.split_once("` |")?.0));
    let mut listed: Vec<_> = names.filter(|name| name.contains(" /")).collect();
    listed.sort_unstable();
    assert_eq!(listed, routes);
}

/// Schema-valid requests may be refused: JSON Schema counts characters where an identifier's bound is in
/// bytes, and knows nothing of invisible characters.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_answer_beside_the_document() {
    let flags = [WITH_KEY, "--api-requests-per-second=0"];
    let server = Server::on(Database::sqlite(), &flags).await;
    let url = format!("{}/api/v1", server.url());
    let folder = tempfile::tempdir().unwrap();
    let mut tool = Command::new(SCHEMATHESIS);
    tool.arg("run")
        .arg(format!("{url}/openapi.json"))
        .args(["--url", &url])
        .args(["--header", &format!("Authorization: Bearer {KEY}")])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--exclude-checks", "positive_data_acceptance"])
        // These answers have no end.
        .args(["--exclude-path-regex", "^/(events|activity)$"])
        .args(["--max-examples", "15", "--no-color"])
        .current_dir(folder.path())
        .stdin(Stdio::null());
    let output = tool.output().await;
    let output =
        output.unwrap_or_else(|error| panic!("{SCHEMATHESIS}: {error}. {HOW_TO_GET_TOOLS}"));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    assert!(!report.contains("Unresolvable references"), "{report}");
    let summary = report.find("SUMMARY").map(|at| &report[at..]);
    println!("{}", summary.expect("a summary"));
}
