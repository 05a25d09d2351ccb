//! The listener for Prometheus.

use parlor::testing::app::MAX_SCRAPERS;
use reqwest::{Client, Method, StatusCode};
use tokio::net::TcpStream;

use crate::support::{
    Database, Server, eventually, figures::SCRAPED, gate::Gate, http::HttpConnection,
    within_deadline,
};

async fn ask(method: Method, url: String) -> reqwest::Response {
    let asking = Client::new().request(method, url).send();
    within_deadline("an answer", asking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_are_at_one_path_of_a_listener_of_their_own() {
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let own = format!("http://{}", server.metrics_address());
    let scrape = ask(Method::GET, format!("{own}/metrics")).await;
    assert_eq!(scrape.status(), 200);
    assert_eq!(
        scrape.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = scrape.text().await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("parlor_build_info{{version=\"{version}\"}} 1\n")));
    let head = ask(Method::HEAD, format!("{own}/metrics")).await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.text().await.unwrap(), "");
    for (method, path, status) in [
        (Method::GET, "/", StatusCode::NOT_FOUND),
        (Method::GET, "/healthz", StatusCode::NOT_FOUND),
        (Method::GET, "/metrics/", StatusCode::NOT_FOUND),
        (
            Method::GET,
            "/socket.io/?EIO=4&transport=polling",
            StatusCode::NOT_FOUND,
        ),
        (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = ask(method, format!("{own}{path}")).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    let among_clients = ask(Method::GET, format!("{}/metrics", server.url())).await;
    assert_eq!(among_clients.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_served_while_the_database_is_away() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate);
    let server = Server::on_absent(database, &[SCRAPED]).await;
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_storing"), 0.0);
    assert_eq!(figures.get("parlor_bus_up"), 0.0);
    assert_eq!(figures.get("parlor_database_connections"), 0.0);
    gate.open();
    server.until_ready().await;
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_storing"), 1.0);
    assert!(figures.get("parlor_database_connections") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_has_few_connections_and_takes_none_of_the_clients() {
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let mut scrapers = vec![];
    for _ in 0..MAX_SCRAPERS {
        let mut scraper = HttpConnection::open(server.metrics_address()).await;
        let answer = scraper.answer("/metrics", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        scrapers.push(scraper);
    }
    let mut one_more = HttpConnection::open(server.metrics_address()).await;
    assert_eq!(one_more.ask("/metrics", "").await, None);
    server.client("ann").await.join("r").await;
    drop(scrapers);
    eventually("a free connection", async || {
        let mut scraper = HttpConnection::open(server.metrics_address()).await;
        // An answer of a refused connection is empty, or an error.
        scraper
            .send("GET /metrics HTTP/1.1\r\nhost: parlor\r\n\r\n")
            .await
            .ok();
        scraper.read().await.is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_closes_at_the_end_of_the_stop() {
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let address = server.metrics_address();
    let mut idle = HttpConnection::open(address).await;
    let answer = idle.answer("/metrics", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_database, ended) = server.stop().await;
    ended.unwrap();
    idle.rest().await;
    assert!(TcpStream::connect(address).await.is_err());
}
