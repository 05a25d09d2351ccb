//! A database per test, empty and with its tables.

use std::sync::atomic::{AtomicU32, Ordering};

use parlor::store::{self, Encryption};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{gate::Gate, pgbouncer::PgBouncer, postgres::Postgres};

const TEMPLATE: &str = "parlor_template";

/// A database for a single test.
pub struct Database {
    url: String,
    _kind: Kind,
}

enum Kind {
    /// Deleted with its folder.
    Sqlite { _folder: TempDir },
    /// Gone with the throw-away server; on another server, dropped.
    Postgres { _external: Option<Drops> },
}

struct Drops {
    admin: String,
    name: String,
}

impl Database {
    /// Returns a database of each kind.
    pub async fn each_kind() -> [Self; 2] {
        [Self::sqlite(), Self::postgres().await]
    }

    /// Returns a new SQLite file, without tables yet.
    pub fn sqlite() -> Self {
        let folder = TempDir::with_prefix("parlor-sqlite-").unwrap();
        let url = format!("sqlite://{}/parlor.db", folder.path().display());
        Self {
            url,
            _kind: Kind::Sqlite { _folder: folder },
        }
    }

    /// Returns a new Postgres database with tables.
    pub async fn postgres() -> Self {
        static TEMPLATE_MADE: OnceCell<()> = OnceCell::const_new();
        if external().is_some() {
            // On another server a template would stay behind.
            let database = Self::empty_postgres().await;
            database.store().await.close().await;
            return database;
        }
        TEMPLATE_MADE.get_or_init(make_template).await;
        Self::from_template(&format!("TEMPLATE {TEMPLATE}")).await
    }

    /// Returns a new Postgres database without tables.
    pub async fn empty_postgres() -> Self {
        Self::from_template("").await
    }

    /// Returns a server's initial database.
    pub fn on(server: &Postgres) -> Self {
        Self {
            url: server.url("postgres"),
            _kind: Kind::Postgres { _external: None },
        }
    }

    async fn from_template(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("parlor_test_{}_{number}", std::process::id());
        execute(&admin_url(), format!("CREATE DATABASE {name} {template}")).await;
        let url = url_of(&name);
        let drops = external().map(|admin| Drops { admin, name });
        Self {
            url,
            _kind: Kind::Postgres { _external: drops },
        }
    }

    /// Returns the same database for one more server; it lives as long as this one.
    pub fn shared(&self) -> Self {
        Self {
            url: self.url.clone(),
            _kind: Kind::Postgres { _external: None },
        }
    }

    /// Routes connections through a gate.
    pub fn through(mut self, gate: &Gate) -> Self {
        self.url = gate.url(&self.url);
        self
    }

    /// Routes connections through a pooler.
    pub fn behind(mut self, pooler: &PgBouncer) -> Self {
        self.url = pooler.url(&self.url);
        self
    }

    /// Makes connections without TLS.
    pub fn in_clear_text(mut self) -> Self {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        self.url = format!("{}{separator}sslmode=disable", self.url);
        self
    }

    /// Returns the value for `DATABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens the store on it, and creates the tables.
    pub async fn store(&self) -> std::sync::Arc<dyn store::MessageStore> {
        let store = store::open(&self.url, 4, Encryption::Optional).unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Makes a Postgres database read-only and ends its connections, or makes it writable for new
    /// ones.
    pub async fn set_read_only(&self, read_only: bool) {
        let url = reqwest::Url::parse(&self.url).unwrap();
        let name = url.path().trim_start_matches('/');
        execute(
            &admin_url(),
            format!("ALTER DATABASE {name} SET default_transaction_read_only = {read_only}"),
        )
        .await;
        if read_only {
            let others = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            );
            execute(&admin_url(), others).await;
        }
    }

    /// Runs a statement.
    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap();
    }

    /// Runs a statement that may fail.
    pub async fn try_execute(&self, sql: &str) -> sqlx::Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&self.url).await?;
            connection.execute(sql).await?;
            return connection.close().await;
        }
        let mut connection = PgConnection::connect(&self.url).await?;
        connection.execute(sql).await?;
        connection.close().await
    }
}

impl Drop for Drops {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(execute(
                &admin,
                format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            ));
        };
        std::thread::spawn(drop).join().ok();
    }
}

async fn make_template() {
    execute(&admin_url(), format!("CREATE DATABASE {TEMPLATE}")).await;
    let store = store::open(&url_of(TEMPLATE), 2, Encryption::Optional).unwrap();
    store.migrate().await.unwrap();
    store.close().await;
}

/// Returns the URL of a server to use instead of a throw-away one.
fn external() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}

/// Returns the URL for creating databases.
pub fn admin_url() -> String {
    external().unwrap_or_else(|| Postgres::shared().url("postgres"))
}

fn url_of(database: &str) -> String {
    match external() {
        None => Postgres::shared().url(database),
        Some(url) => {
            let mut url = reqwest::Url::parse(&url).expect("TEST_DATABASE_URL is a URL");
            url.set_path(database);
            url.into()
        }
    }
}

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}
