//! The documentation against the program: names of tests and files, settings, links.

use std::{
    collections::{BTreeMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::CommandFactory;
use parlor::Config;

use crate::imports::MODULES;

/// Returns the names of all tests in this program.
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

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_tests_of_the_guarantees_exist() {
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
fn the_files_named_by_the_readme_exist() {
    let readme = fs::read_to_string("README.md").unwrap();
    let missing: Vec<_> = quoted(&readme)
        .filter(|name| name.starts_with("tests/") && !Path::new(name).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Returns a page's settings, with the name and default of each row; the default is empty where no
/// text in backticks states it.
fn documented(page: &str) -> BTreeMap<&str, &str> {
    page.lines()
        .filter_map(|row| row.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| {
            let (default, _) = rest.split_once(" |").expect("a row has three cells");
            let default = default.strip_prefix('`').unwrap_or_default();
            (name, default.split('`').next().unwrap_or_default())
        })
        .collect()
}

#[test]
fn the_documented_settings_are_those_of_the_help_with_the_same_defaults() {
    let page = fs::read_to_string("docs/configuration.md").unwrap();
    let command = Config::command();
    let defaults = command.get_arguments().filter_map(|argument| {
        let defaults = argument.get_default_values().iter();
        let default: Vec<_> = defaults.filter_map(|value| value.to_str()).collect();
        Some((argument.get_env()?.to_str()?, default.join(",")))
    });
    let helped: BTreeMap<_, _> = defaults.collect();
    let helped = helped
        .iter()
        .map(|(name, default)| (*name, default.as_str()));
    assert_eq!(documented(&page), helped.collect());
}

#[test]
fn the_architecture_shows_the_import_table() {
    let page = fs::read_to_string("docs/architecture.md").unwrap();
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| module | purpose | may name |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let shown: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').collect();
            let names = match cells[3].trim() {
                "everything below" => "*".to_owned(),
                names => quoted(names).collect::<Vec<_>>().join(" "),
            };
            (quoted(cells[1]).next().unwrap(), names)
        })
        .collect();
    let table = MODULES
        .iter()
        .map(|(module, names)| (*module, (*names).to_owned()));
    assert_eq!(shown, table.collect::<Vec<_>>());
}

#[test]
fn the_documents_link_to_pages_and_headings_that_exist() {
    let documents = || {
        [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "bench/README.md",
        ]
        .map(PathBuf::from)
        .into_iter()
        .chain(
            fs::read_dir("docs")
                .unwrap()
                .map(|file| file.unwrap().path()),
        )
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
    };
    let broken: Vec<_> = documents()
        .flat_map(|document| {
            let text = fs::read_to_string(&document).unwrap();
            let links = links(&text).map(str::to_owned).collect::<Vec<_>>();
            links.into_iter().filter_map(move |link| {
                (!leads_somewhere(&document, &link)).then(|| (document.clone(), link))
            })
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Returns the targets of links to files and headings of the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://"))
}

fn leads_somewhere(document: &Path, link: &str) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let file = match file {
        "" => document.to_owned(),
        file => document.with_file_name(file),
    };
    if heading.is_empty() {
        return file.exists();
    }
    fs::read_to_string(file).is_ok_and(|text| headings(&text).any(|found| found == heading))
}

/// Returns the anchors of a page's headings, as GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    })
}
