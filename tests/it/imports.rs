//! The import table of `src/`, explained in `docs/architecture.md`: each module imports only modules
//! below it, and some crates stay in the modules made for them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Ident, TokenStream, TokenTree};

/// The modules from the roof to the ground, each with its possible imports. All of these are further
/// down, so no circle is possible. `*` stands for everything below.
pub const MODULES: &[(&str, &str)] = &[
    (
        "commands",
        "app config telemetry webhooks archive auth store model",
    ),
    ("app", "*"),
    // It fills in the settings of the layers, and they do not know it.
    ("config", "*"),
    ("telemetry", ""),
    // Of `room`, its traits and their events.
    (
        "realtime",
        "contract chat inbox room engine auth model json_error metrics error",
    ),
    (
        "api",
        "http engine net contract overview chat archive inbox room auth rates model metrics error",
    ),
    ("http", "chat engine auth model metrics error"),
    ("engine", "net rates metrics error"),
    ("net", "rates error"),
    ("contract", "chat inbox room model json_error error"),
    ("retention", "room store model"),
    ("search", "store model"),
    ("overview", "webhooks room writer store bus model metrics"),
    ("webhooks", "store bus outbound model metrics"),
    (
        "chat",
        "archive inbox moderation calling room writer auth rates store model metrics error",
    ),
    ("archive", "store model"),
    ("inbox", "room store bus model metrics error"),
    // Rooms read the log, and never write to it.
    ("room", "store bus model metrics error"),
    ("writer", "store model metrics error"),
    ("moderation", "outbound model metrics error"),
    ("calling", "model"),
    ("bus", "store model metrics"),
    ("store", "model metrics error"),
    ("auth", "model json_error error"),
    ("rates", "error"),
    ("outbound", ""),
    ("model", "error"),
    ("json_error", "error"),
    // Counted by any layer.
    ("metrics", "error"),
    ("error", ""),
];

/// Crates, each with the only modules to use it.
const CRATES: &[(&str, &str)] = &[
    ("axum", "api app http engine net"),
    ("redis", "bus"),
    ("socketioxide", "realtime"),
    ("sqlx", "store bus"),
];

/// The name of a module or crate in a file, and its line.
struct Mention {
    name: String,
    line: usize,
}

impl Mention {
    fn from_ident(ident: &Ident) -> Self {
        Self {
            name: ident.to_string(),
            line: ident.span().start().line,
        }
    }
}

/// Finds the modules in all paths from the crate's root, in a `use` or elsewhere: `crate::room::…`,
/// and each of `crate::{chat::…, room::…}`.
fn modules_named(tokens: TokenStream, found: &mut Vec<Mention>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            modules_named(group.stream(), found);
        }
        if !matches!(token, TokenTree::Ident(ident) if ident == "crate") {
            continue;
        }
        match tokens.get(index + 3) {
            Some(TokenTree::Ident(module)) => found.push(Mention::from_ident(module)),
            Some(TokenTree::Group(group)) => found.extend(first_names(group.stream())),
            _ => {}
        }
    }
}

/// Returns the first name of each item in the braces of a `use`.
fn first_names(items: TokenStream) -> Vec<Mention> {
    let items: Vec<_> = items.into_iter().collect();
    let items =
        items.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','));
    items
        .filter_map(|item| match item.first()? {
            TokenTree::Ident(ident) => Some(Mention::from_ident(ident)),
            _ => None,
        })
        .collect()
}

/// Finds the crates of [`CRATES`].
fn crates_named(tokens: TokenStream, found: &mut Vec<Mention>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => crates_named(group.stream(), found),
            TokenTree::Ident(ident) if CRATES.iter().any(|(name, _)| ident == name) => {
                found.push(Mention::from_ident(&ident));
            }
            _ => {}
        }
    }
}

/// Finds the lines where `super::…` leads to the crate's root: only `crate::…` is checked from there.
/// The tokens stand `depth` modules below the root.
fn climbs(tokens: TokenStream, depth: usize, found: &mut Vec<usize>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is = |index: usize, name: &str| matches!(&tokens[index], TokenTree::Ident(ident) if ident == name);
    let mut steps = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let is_module = index >= 2 && is(index - 2, "mod");
                climbs(group.stream(), depth + usize::from(is_module), found);
            }
            TokenTree::Ident(ident) if ident == "super" => {
                steps += 1;
                if steps == depth {
                    found.push(ident.span().start().line);
                }
            }
            TokenTree::Ident(_) => steps = 0,
            _ => {}
        }
    }
}

fn has(names: &str, name: &str) -> bool {
    names.split(' ').any(|one| one == name)
}

/// Returns the place of a module in [`MODULES`], counted from the roof.
fn floor(module: &str) -> Option<usize> {
    MODULES.iter().position(|(name, _)| *name == module)
}

/// Returns the rule broken by an import of `other` into `module`, if any.
fn broken_by_module(module: &str, other: &str) -> Option<String> {
    if module == other {
        return None;
    }
    let (Some(from), Some(to)) = (floor(module), floor(other)) else {
        return Some(format!("{module} or {other} has no row in the table"));
    };
    let allowed = MODULES[from].1;
    let is_allowed = to > from && (allowed == "*" || has(allowed, other));
    (!is_allowed).then(|| format!("{module} imports {other}, but may import only: {allowed}"))
}

/// Returns the rule broken by the use of a crate in `module`, if any.
fn broken_by_crate(module: &str, name: &str) -> Option<String> {
    let (_, modules) = CRATES.iter().find(|(known, _)| *known == name)?;
    (!has(modules, module)).then(|| format!("{module} uses {name}, a crate for: {modules}"))
}

/// Returns the top module of a file, or none for the crate's roots.
fn module_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    let name = first.to_str().unwrap().trim_end_matches(".rs");
    (!["lib", "main", "testing"].contains(&name)).then(|| name.to_owned())
}

/// Returns the number of modules from the crate's root down to a file.
fn depth(file: &Path) -> usize {
    let inside = file.strip_prefix("src").unwrap();
    inside.components().count() - usize::from(inside.ends_with("mod.rs"))
}

fn violations(file: &Path, source: &str) -> Vec<String> {
    let Some(module) = module_of(file) else {
        return vec![];
    };
    let tokens: TokenStream = source.parse().unwrap();
    let (mut modules, mut crates, mut climbing) = (vec![], vec![], vec![]);
    modules_named(tokens.clone(), &mut modules);
    crates_named(tokens.clone(), &mut crates);
    climbs(tokens, depth(file), &mut climbing);
    let by_modules = modules
        .iter()
        .map(|mention| (mention.line, broken_by_module(&module, &mention.name)));
    let by_crates = crates
        .iter()
        .map(|mention| (mention.line, broken_by_crate(&module, &mention.name)));
    let by_climbing = climbing
        .iter()
        .map(|line| (*line, Some("imports by `super` from the root".to_owned())));
    by_modules
        .chain(by_crates)
        .chain(by_climbing)
        .filter_map(|(line, broken)| Some(format!("{}:{line}: {}", file.display(), broken?)))
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_import_is_allowed_by_the_table() {
    let mut files = vec![];
    sources(Path::new("src"), &mut files);
    files.sort();
    let broken: Vec<_> = files
        .iter()
        .flat_map(|file| violations(file, &fs::read_to_string(file).unwrap()))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_table_has_a_row_for_each_module_and_runs_downwards() {
    let mut files = vec![];
    sources(Path::new("src"), &mut files);
    for (module, others) in MODULES {
        assert!(
            files
                .iter()
                .any(|file| module_of(file).as_deref() == Some(module)),
            "{module} is no module of src/"
        );
        for other in others.split(' ').filter(|other| !["", "*"].contains(other)) {
            assert!(floor(other) > floor(module), "{module} → {other} runs up");
        }
    }
    for file in &files {
        let module = module_of(file);
        assert!(
            module.as_deref().is_none_or(|one| floor(one).is_some()),
            "{module:?} has no row in the table"
        );
    }
}

#[test]
fn a_forbidden_import_is_found_wherever_it_stands() {
    let line = |file, source: &str| violations(Path::new(file), source).join("\n");
    for (file, source, expected) in [
        (
            "src/http/mod.rs",
            "use crate::{\n    engine::Engine,\n    rates::{Limiter, Rate},\n};",
            "src/http/mod.rs:3: http imports rates",
        ),
        (
            "src/room/task.rs",
            "fn wrong() {\n    crate::writer::start();\n}",
            "src/room/task.rs:2: room imports writer",
        ),
        (
            "src/room/task.rs",
            "use crate::config::Config;",
            "room imports config",
        ),
        (
            "src/chat/mod.rs",
            "fn f() { tracing::info!(x = crate::http::Y); }",
            "chat imports http",
        ),
        (
            "src/telemetry.rs",
            "use crate::nowhere;",
            "nowhere has no row",
        ),
        (
            "src/chat/mod.rs",
            "#[derive(sqlx::Type)] struct A;",
            "chat uses sqlx",
        ),
        (
            "src/room/task.rs",
            "use super::super::http;",
            "src/room/task.rs:1: imports by `super`",
        ),
    ] {
        let found = line(file, source);
        assert!(
            found.contains(expected) && found.lines().count() == 1,
            "{found}"
        );
    }
    for source in [
        "use crate::{store::MessageStore, room};",
        "use super::tail; mod tests { use super::super::tail; }",
        "// use crate::http;\nconst TEXT: &str = \"crate::http sqlx::\";",
    ] {
        assert_eq!(line("src/room/task.rs", source), "", "{source}");
    }
}
