//! Separate schemas in a shared database.

use parlor::{
    model::{Body, Draft, Seq},
    store::{self, Encryption, Keep, MessageStore, MigrateError, Page},
};
use serde_json::json;

use crate::support::{Database, Server, pgbouncer::PgBouncer};

async fn open(database: &Database, schema: Option<&str>) -> std::sync::Arc<dyn MessageStore> {
    let schema = schema.map(|name| name.parse().unwrap());
    let store = store::open_in(database.url(), 4, Encryption::Optional, schema).unwrap();
    store.migrate().await.unwrap();
    store
}

async fn say(store: &dyn MessageStore, text: &str) {
    let body = Body::parse(text, 100).unwrap();
    let draft = Draft::new(
        "r".try_into().unwrap(),
        "ann".try_into().unwrap(),
        None,
        body,
        None,
    );
    store.append(&[draft]).await.unwrap();
}

async fn texts(store: &dyn MessageStore) -> Vec<String> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 100,
        keep: Keep::Oldest,
    };
    let log = store.read(&"r".try_into().unwrap(), page).await.unwrap();
    log.iter()
        .map(|message| message.body.as_str().to_owned())
        .collect()
}

async fn are_apart(database: &Database) {
    let schemas = [None, Some("parlor"), Some("Odd \"name\"; --")];
    for schema in schemas {
        let store = open(database, schema).await;
        say(&*store, schema.unwrap_or("none")).await;
        store.ping().await.unwrap();
    }
    for schema in schemas {
        let again = open(database, schema).await;
        assert_eq!(texts(&*again).await, [schema.unwrap_or("none")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parlors_with_schemas_of_their_own_share_a_database() {
    are_apart(&Database::empty_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parlors_with_schemas_of_their_own_share_a_database_behind_a_pooler() {
    let pooler = PgBouncer::start("transaction", "default_pool_size = 2");
    are_apart(&Database::empty_postgres().await.behind(&pooler)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_uses_the_schema_of_its_settings() {
    let database = Database::empty_postgres().await;
    database
        .execute("CREATE TABLE messages (other text); CREATE TABLE rooms (other text)")
        .await;
    let server = Server::on(database, &["--database-schema=chat"]).await;
    let mut ann = server.raw("ann").await;
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    assert_eq!(
        ann.call("sendMessage", json!({ "roomId": "r", "message": "hi" }))
            .await["message"]["seq"],
        1
    );
    server
        .database
        .execute("DELETE FROM chat.messages WHERE seq = 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_schema_needs_no_right_to_create_one_and_a_missing_schema_is_named() {
    let database = Database::empty_postgres().await;
    let role = format!("tenant_{}", std::process::id());
    database
        .execute(&format!(
            "CREATE ROLE {role} LOGIN; CREATE SCHEMA theirs AUTHORIZATION {role}"
        ))
        .await;
    let url = database.url().replace("postgres@", &format!("{role}@"));
    let store = |schema: &str| {
        store::open_in(&url, 2, Encryption::Optional, Some(schema.parse().unwrap())).unwrap()
    };
    store("theirs").migrate().await.unwrap();
    let refused = store("missing").migrate().await.unwrap_err();
    assert!(
        matches!(&refused, MigrateError::Failed(why) if why.contains("permission denied")),
        "{refused}"
    );
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}
