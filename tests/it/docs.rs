//! What the docs say of the tests is true.

use std::{collections::HashSet, env, fs, path::Path, process::Command};

use clap::CommandFactory;
use parlor::config::Config;

/// The names of all tests in this program.
fn tests() -> HashSet<String> {
    let listed = Command::new(env::current_exe().unwrap())
        .arg("--list")
        .output()
        .unwrap();
    let lines = String::from_utf8(listed.stdout).unwrap();
    lines
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_tests_that_show_the_guarantees_exist() {
    let (page, tests) = (fs::read_to_string("docs/guarantees.md").unwrap(), tests());
    let named: Vec<_> = quoted(&page)
        .filter(|name| name.contains("::") && *name != "file::test")
        .collect();
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !tests.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_files_that_the_readme_names_exist() {
    let readme = fs::read_to_string("README.md").unwrap();
    let missing: Vec<_> = quoted(&readme)
        .filter(|name| name.starts_with("tests/") && !Path::new(name).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_setting_is_described() {
    let page = fs::read_to_string("docs/settings.md").unwrap();
    let command = Config::command();
    let variables = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str());
    let missing: Vec<_> = variables
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
