//! One server on SQLite, or several on one Postgres.

use std::{net::SocketAddr, path::Path};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use testkit::Postgres;

use crate::{
    life::Addresses,
    server::{Holdings, Parlor},
};

/// A database of the soak's own; gone when dropped.
pub enum Database {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Database {
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}/bench.db", folder.path().display()),
            Self::Postgres(postgres) => postgres.url("postgres"),
        }
    }

    /// Returns the folder of the files that a server opens by itself.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(folder) => Some(folder.path()),
            Self::Postgres(_) => None,
        }
    }
}

/// The servers.
pub struct Cluster {
    servers: Vec<Parlor>,
    /// The servers' addresses, as the clients know them.
    pub published: Addresses,
    database: Database,
}

impl Cluster {
    pub async fn start(count: usize) -> Self {
        let database = if count == 1 {
            Database::Sqlite(tempfile::tempdir().unwrap())
        } else {
            Database::Postgres(Postgres::start(&[]))
        };
        let mut cluster = Self {
            servers: vec![],
            published: Addresses::default(),
            database,
        };
        for _ in 0..count {
            cluster.servers.push(Parlor::start(&cluster.database).await);
        }
        cluster.publish();
        cluster
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Parlor::address).collect()
    }

    /// Tells the clients where the servers are.
    fn publish(&self) {
        *self.published.write().unwrap() = self.addresses();
    }

    /// Stops a server under load, and starts its successor.
    pub async fn restart(&mut self, place: usize) {
        self.servers.remove(place).stop().await;
        let successor = Parlor::start(&self.database).await;
        self.servers.insert(place, successor);
        self.publish();
    }

    /// Measures the resources of each server.
    pub async fn holdings(&mut self) -> Vec<Holdings> {
        let mut holdings = vec![];
        for server in &mut self.servers {
            holdings.push(Holdings::measure(server).await);
        }
        holdings
    }

    /// Counts the servers and the rosters in the database; none where servers share nothing.
    pub async fn listed(&self) -> Option<(i64, i64)> {
        let Database::Postgres(_) = self.database else {
            return None;
        };
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        let counts = "SELECT (SELECT count(*) FROM servers), (SELECT count(*) FROM rosters)";
        Some(
            sqlx::query_as(counts)
                .fetch_one(&mut connection)
                .await
                .unwrap(),
        )
    }
}
