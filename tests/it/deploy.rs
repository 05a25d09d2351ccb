//! Deployment: `app.json`, `Dockerfile` and `compose.yaml`, and the demands of a Heroku dyno.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::CommandFactory;
use nix::sys::signal::Signal;
use parlor::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Database, Process, RawClient, free_port, gate::Gate, postgres::Postgres};

/// The time of a dyno for its stop.
const DYNO_STOP: Duration = Duration::from_secs(10);

/// The keys of `app.json` in use here: <https://devcenter.heroku.com/articles/app-json-schema>.
const APP_KEYS: [&str; 7] = [
    "name",
    "description",
    "keywords",
    "env",
    "formation",
    "addons",
    "buildpacks",
];

fn repository() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn text(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap()
}

async fn join(process: &Process) -> RawClient {
    let mut client = RawClient::connect(process.address, "ann").await;
    assert_eq!(
        client.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    client
}

/// Checks that the running server has connections to the database, all encrypted or none.
async fn assert_encrypted(database: &Database, encrypted: bool) {
    let sql =
        "SELECT 1 / (count(*) FILTER (WHERE ssl = ?) * (count(*) FILTER (WHERE ssl <> ?) = 0)::int)
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'parlor'";
    database
        .execute(&sql.replace('?', &encrypted.to_string()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_encrypts_its_way_to_the_database_under_any_certificate() {
    let server = Postgres::start_with_tls(free_port());
    let database = Database::on(&server);
    let process = Process::start_on_dyno(&database).await;
    join(&process).await;
    assert_encrypted(&database, true).await;
    process.signal(Signal::SIGTERM);
    assert!(process.ended().await.0.success());

    let database = database.in_clear_text();
    let process = Process::start_on_dyno(&database).await;
    join(&process).await;
    assert_encrypted(&database, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_stops_in_time_while_the_database_is_away() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate).in_clear_text();
    gate.open();
    let process = Process::start_on_dyno(&database).await;
    let mut ann = join(&process).await;
    gate.shut().await;
    ann.emit("sendMessage", &json!({ "roomId": "r", "message": "hi" }))
        .await;
    // Its answer comes once the send before it is in flight.
    ann.call("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    process.signal(Signal::SIGTERM);
    let (status, log) = tokio::time::timeout(DYNO_STOP, process.ended())
        .await
        .expect("less than Heroku grants");
    assert!(status.success() && log.contains("\"stopped\""), "{log}");
}

#[test]
fn the_heroku_app_has_the_processes_of_the_procfile_and_only_known_settings() {
    let app: Value = serde_json::from_str(&text("app.json")).unwrap();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(keys(&app), APP_KEYS.map(str::to_owned).into());

    let procfile = text("Procfile");
    let processes: BTreeSet<_> = procfile
        .lines()
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    assert_eq!(processes, ["release", "web"].into());
    assert_eq!(app["formation"]["web"]["quantity"], 1);
    assert!(
        keys(&app["formation"])
            .iter()
            .all(|process| processes.contains(process.as_str()))
    );

    let command = Config::command();
    let known: BTreeSet<_> = command
        .get_arguments()
        .filter_map(|one| one.get_env()?.to_str())
        .collect();
    assert!(
        keys(&app["env"])
            .iter()
            .all(|variable| known.contains(variable.as_str()))
    );
    assert!(
        app["addons"][0]["plan"]
            .as_str()
            .unwrap()
            .starts_with("heroku-postgresql:")
    );
    // The Rust build embeds files of npm's.
    let buildpacks = [&app["buildpacks"][0]["url"], &app["buildpacks"][1]["url"]]
        .map(|url| url.as_str().unwrap());
    assert!(
        buildpacks[0] == "heroku/nodejs" && buildpacks[1].ends_with("/heroku-buildpack-rust"),
        "{buildpacks:?}"
    );
}

/// Returns the paths copied into the image's build.
fn copied() -> Vec<String> {
    let dockerfile = text("Dockerfile");
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    let sources = copies
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| {
            let (sources, _target) = copy.rsplit_once(' ').unwrap();
            sources.split(' ')
        });
    sources.map(str::to_owned).collect()
}

/// The command of the image's build that makes empty files for targets that it does not build.
fn stand_ins() -> String {
    let dockerfile = text("Dockerfile");
    let start = dockerfile.find("mkdir -p bench/src").unwrap();
    let length = dockerfile[start..].find("\nCOPY").unwrap();
    dockerfile[start..][..length].to_owned()
}

#[test]
fn the_image_is_built_from_existing_files_of_a_whole_package() {
    let folder = TempDir::with_prefix("parlor-image-").unwrap();
    let ignored = text(".dockerignore");
    for path in copied() {
        assert!(repository().join(&path).exists(), "{path}");
        assert!(
            ignored.lines().any(|line| line == format!("!{path}")),
            "{path} is ignored"
        );
        let copy = folder.path().join(&path);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        symlink(repository().join(&path), copy).unwrap();
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &stand_ins()]).current_dir(folder.path());
    assert!(shell.status().unwrap().success());
    assert_eq!(targets(folder.path()), targets(&repository()));
}

/// Returns cargo's targets for the program's build.
fn targets(folder: &Path) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--locked",
            "--format-version=1",
        ])
        .current_dir(folder);
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == env!("CARGO_PKG_NAME"))
        .unwrap();
    let targets = package["targets"].as_array().unwrap().iter();
    let targets = targets.map(|target| format!("{} {}", target["kind"][0], target["name"]));
    targets
        .filter(|target| !target.starts_with("\"test") && !target.starts_with("\"example"))
        .collect()
}

#[test]
fn the_image_and_compose_agree_with_the_programs_port() {
    let command = Config::command();
    let port = command
        .get_arguments()
        .find(|one| one.get_id() == "port")
        .unwrap();
    let port = port.get_default_values()[0].to_str().unwrap();
    assert!(text("Dockerfile").contains(&format!("\nEXPOSE {port}\n")));
    let server = &compose()["services"]["parlor"];
    assert_eq!(server["environment"]["PORT"], port);
    assert_eq!(server["ports"][0]["target"].to_string(), port);
}

fn compose() -> Value {
    serde_saphyr::from_str(&text("compose.yaml")).unwrap()
}

/// Returns the environment of a container as compose makes it: `environment` goes before
/// `env_file`, and `${NAME:-otherwise}` in a value is taken from `.env`. See
/// <https://docs.docker.com/reference/compose-file/services/#env_file>.
fn container(service: &Value, env: &[(String, String)]) -> BTreeMap<String, String> {
    let read = service["env_file"]
        .as_array()
        .is_some_and(|files| files.iter().any(|file| file["path"] == ".env"));
    let mut environment: BTreeMap<_, _> = env.iter().filter(|_| read).cloned().collect();
    for (name, value) in service["environment"].as_object().unwrap() {
        let value = value.as_str().expect("a text, quoted if it is a number");
        let own = format!("${{{name}:-");
        let given = env
            .iter()
            .find(|(given, _)| given == name && value.starts_with(&own));
        environment.insert(
            name.clone(),
            given.map_or(value, |(_, value)| value).to_owned(),
        );
    }
    environment
}

#[test]
fn compose_hands_every_setting_to_the_container() {
    let compose = compose();
    let service = &compose["services"]["parlor"];
    // Without the file, all settings have their defaults.
    assert_eq!(
        service["env_file"],
        json!([{ "path": ".env", "required": false }])
    );
    let command = Config::command();
    let settings = command
        .get_arguments()
        .filter_map(|one| one.get_env()?.to_str());
    let env: Vec<_> = settings
        .map(|name| (name.to_owned(), format!("the user's {name}")))
        .collect();
    let environment = container(service, &env);
    let lost: Vec<_> = env
        .iter()
        .filter(|(name, value)| environment[name] != *value)
        .map(|(name, _)| name)
        .collect();
    // These two set the port of the host machine.
    assert_eq!(lost, ["PORT", "HOST"]);
    assert_eq!(
        service["ports"],
        json!([{ "target": 3000, "host_ip": "${HOST:-}", "published": "${PORT:-3000}" }])
    );
}

#[test]
fn the_servers_of_the_larger_compose_file_differ_from_the_one_by_their_proxy_only() {
    let [one, several]: [Value; 2] = ["compose.yaml", "compose.several.yaml"]
        .map(|file| serde_saphyr::from_str(&text(file)).unwrap());
    let (one, several) = (&one["services"], &several["services"]);
    let mut expected = one["parlor"].clone();
    let ports = expected.as_object_mut().unwrap().remove("ports");
    expected["environment"]["TRUSTED_PROXIES"] =
        several["parlor-1"]["environment"]["TRUSTED_PROXIES"].clone();
    for server in ["parlor-1", "parlor-2"] {
        assert_eq!(several[server], expected, "{server}");
    }
    assert_eq!(several["postgres"], one["postgres"]);
    assert_eq!(several["proxy"]["ports"], ports.unwrap());
    let mount = several["proxy"]["volumes"][0].as_str().unwrap();
    let (file, _) = mount.split_once(':').unwrap();
    assert!(text(file).contains("parlor-2:3000"));
}

/// Compose ignores unknown settings without an error.
#[test]
fn compose_names_only_known_settings() {
    let command = Config::command();
    let known: BTreeSet<_> = command
        .get_arguments()
        .filter_map(|one| one.get_env()?.to_str())
        .collect();
    let compose = compose();
    let named = compose["services"]["parlor"]["environment"]
        .as_object()
        .unwrap();
    assert!(
        named.keys().all(|name| known.contains(name.as_str())),
        "{named:?}"
    );
}
