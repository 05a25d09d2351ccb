//! Databases of the wrong kind, or closed to the login: the error names the database and the
//! reason.

use parlor::store::{self, Encryption, MigrateError};

use crate::support::{Database, gate::Gate, postgres::Postgres};

/// Returns the error that ends a start.
async fn obstacle(url: &str) -> MigrateError {
    store::open(url, 2, Encryption::Optional)
        .unwrap()
        .migrate()
        .await
        .unwrap_err()
}

fn assert_names(error: &MigrateError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(
        !text.contains("at line") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_reported_with_host_and_database_and_not_shown() {
    let postgres = Postgres::start(&["fsync=off"]);
    let database = Database::on(&postgres);
    database
        .execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        .await;
    let rules = "VALUES ('local all postgres trust'), ('local all all scram-sha-256')";
    let write = "COPY (VALUES_HERE) TO 'PATH'".replace("VALUES_HERE", rules);
    let folder = database.url().split("host=").nth(1).unwrap().to_owned();
    database
        .execute(&write.replace("PATH", &format!("{folder}/data/pg_hba.conf")))
        .await;
    database.execute("SELECT pg_reload_conf()").await;
    let url = database.url().replace("postgres@", "guarded:secret@");
    let refused = crate::support::within_deadline("the rules to be read", async {
        loop {
            let store = store::open(&url, 2, Encryption::Optional).unwrap();
            match store.migrate().await {
                Err(error) if error.to_string().contains("password") => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    let refused = refused.await;
    assert!(
        matches!(refused, MigrateError::Unavailable(_)),
        "waits for somebody to repair it"
    );
    assert_names(
        &refused,
        &[
            "\"postgres\"",
            &folder,
            "password authentication failed",
            "guarded",
            "28P01",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_database_is_named() {
    let database = Database::postgres().await;
    let name = reqwest::Url::parse(database.url())
        .unwrap()
        .path()
        .trim_start_matches('/')
        .to_owned();
    let refused = obstacle(&database.url().replace(&name, "nowhere")).await;
    assert!(matches!(refused, MigrateError::Unavailable(_)));
    assert_names(
        &refused,
        &["database \"nowhere\" at ", "does not exist", "3D000"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_named_where_tls_is_required() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate);
    let separator = if database.url().contains('?') {
        '&'
    } else {
        '?'
    };
    let url = format!("{}{separator}sslmode=require", database.url());
    let refused = obstacle(&url).await;
    assert_names(&refused, &["127.0.0.1:", "refused"]);
    gate.open();
    let refused = obstacle(&url).await;
    assert!(matches!(refused, MigrateError::Unavailable(_)));
    assert_names(&refused, &["127.0.0.1:", "TLS"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_than_utf8_ends_the_start_and_the_reason_is_given() {
    let database = Database::postgres().await;
    let name = format!("ascii_{}", std::process::id());
    database
        .execute(&format!("CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
        .await;
    let own = reqwest::Url::parse(database.url())
        .unwrap()
        .path()
        .trim_start_matches('/')
        .to_owned();
    let refused = obstacle(&database.url().replace(&own, &name)).await;
    database
        .execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await;
    assert!(matches!(refused, MigrateError::Failed(_)), "{refused}");
    assert_names(&refused, &[&name, "SQL_ASCII", "UTF8"]);
}
