//! A server in the test's own process, on a free port, started as in production.

use std::{net::SocketAddr, sync::Arc};

use clap::Parser;
use parlor::{
    App, Config,
    store::MessageStore,
    testing::{bus::Bus, room::Rooms},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Client, Database, RawClient, figures::Figures, within_deadline};

/// A running server; stopped when dropped.
pub struct Server {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    stop: CancellationToken,
    rooms: Rooms,
    serving: JoinHandle<anyhow::Result<()>>,
    /// Outlives the server.
    pub database: Database,
}

impl Server {
    /// Starts on a new SQLite file.
    pub async fn start() -> Self {
        Self::on(Database::sqlite(), &[]).await
    }

    /// Starts one server on each kind of database.
    pub async fn on_each_kind() -> [Self; 2] {
        Self::on_each_kind_with(&[]).await
    }

    /// Starts one server on each kind of database, with settings as flags.
    pub async fn on_each_kind_with(flags: &[&str]) -> [Self; 2] {
        let [sqlite, postgres] = Database::each_kind().await;
        [
            Self::on(sqlite, flags).await,
            Self::on(postgres, flags).await,
        ]
    }

    /// Starts with settings, as flags.
    pub async fn on(database: Database, flags: &[&str]) -> Self {
        let server = Self::on_absent(database, flags).await;
        server.until_ready().await;
        server
    }

    /// Starts with settings, as flags, and others that have none.
    pub async fn configured(
        database: Database,
        flags: &[&str],
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let url = format!("--database-url={}", database.url());
        let fixed = ["parlor", "--host=127.0.0.1", "--port=0", &url];
        let mut config = Config::try_parse_from([&fixed, flags].concat()).unwrap();
        configure(&mut config);
        let store = App::open_store(&config).unwrap();
        let server = Self::serve(&config, store, database);
        server.until_ready().await;
        server
    }

    /// Starts on a given port.
    pub async fn at(port: u16, database: Database) -> Self {
        let server = Self::bind(port, database, &[]).await;
        server.until_ready().await;
        server
    }

    /// Starts without waiting for the database.
    pub async fn on_absent(database: Database, flags: &[&str]) -> Self {
        Self::bind(0, database, flags).await
    }

    /// Starts with every choice, without waiting for the database.
    pub async fn bind(port: u16, database: Database, flags: &[&str]) -> Self {
        let (url, port) = (
            format!("--database-url={}", database.url()),
            format!("--port={port}"),
        );
        let fixed = ["parlor", "--host=127.0.0.1", &port, &url];
        let config = Config::try_parse_from([&fixed, flags].concat()).unwrap();
        let store = App::open_store(&config).unwrap();
        Self::serve(&config, store, database)
    }

    /// Starts on a store of the test's own, over a new SQLite file.
    pub async fn on_store(
        around: impl FnOnce(Arc<dyn MessageStore>) -> Arc<dyn MessageStore>,
    ) -> Self {
        let database = Database::sqlite();
        let url = format!("--database-url={}", database.url());
        let config =
            Config::try_parse_from(["parlor", "--host=127.0.0.1", "--port=0", &url]).unwrap();
        let store = around(App::open_store(&config).unwrap());
        let server = Self::serve(&config, store, database);
        server.until_ready().await;
        server
    }

    /// Starts with a bus of the test's own around the usual one.
    pub async fn around_bus(
        database: Database,
        flags: &[&str],
        around: impl FnOnce(Arc<dyn Bus>) -> Arc<dyn Bus>,
    ) -> Self {
        let url = format!("--database-url={}", database.url());
        let fixed = ["parlor", "--host=127.0.0.1", "--port=0", &url];
        let config = Config::try_parse_from([&fixed, flags].concat()).unwrap();
        let store = App::open_store(&config).unwrap();
        let app = App::bind_around_bus(&config, store, around).unwrap();
        let server = Self::run(app, database);
        server.until_ready().await;
        server
    }

    fn serve(config: &Config, store: Arc<dyn MessageStore>, database: Database) -> Self {
        Self::run(App::bind(config, store).unwrap(), database)
    }

    fn run(app: App, database: Database) -> Self {
        let (address, metrics) = (app.local_addr().unwrap(), app.metrics_addr().unwrap());
        let (stop, rooms) = (CancellationToken::new(), app.rooms().clone());
        let serving = tokio::spawn(app.serve_until(stop.clone().cancelled_owned()));
        Self {
            address,
            metrics,
            stop,
            rooms,
            serving,
            database,
        }
    }

    /// Returns the number of its active rooms.
    pub fn active_rooms(&self) -> usize {
        self.rooms.count()
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the listener for Prometheus.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics.expect("a listener for Prometheus")
    }

    /// Scrapes its figures.
    pub async fn figures(&self) -> Figures {
        Figures::scrape(self.metrics_address()).await
    }

    /// Returns `http://…`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `/readyz` succeeds.
    pub async fn until_ready(&self) {
        let url = format!("{}/readyz", self.url());
        super::eventually("the server to be ready", async || {
            reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Connects a client as `user`.
    pub async fn client(&self, user: &str) -> Client {
        Client::connect(&self.url(), user).await
    }

    /// Connects a client for load and for unusual packets.
    pub async fn raw(&self, user: &str) -> RawClient {
        RawClient::connect(self.address, user).await
    }

    /// Stops it, and returns its database and its result.
    pub async fn stop(mut self) -> (Database, anyhow::Result<()>) {
        self.stop.cancel();
        let ended = within_deadline("the server to stop", &mut self.serving)
            .await
            .unwrap();
        let database = std::mem::replace(&mut self.database, Database::sqlite());
        (database, ended)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
