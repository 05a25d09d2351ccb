//! Credentials, tickets and bounds of streams.

use reqwest::{Client, Method};
use serde_json::json;

use super::{Stream, open, server, ticket, token};
use crate::{
    api::{Backend, answer},
    support::{
        Server, eventually,
        figures::{SCRAPED, Since},
    },
};

/// Opens a stream, and returns the refusal.
async fn refused(caller: &Backend, query: &[(&str, &str)]) -> (u16, String) {
    let opened = Stream::open(caller, "/events", query, None).await;
    let refusal = opened.err().expect("a refusal");
    let (status, code) = refusal.refusal();
    (status, code.to_owned())
}

fn user(server: &Server, name: &str) -> Backend {
    Backend::with(server, &token(name, 60, &[]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_stream_of_its_user() {
    let (server, backend) = server(&[]).await;
    let ann = user(&server, "ann");
    let nobody = Backend::with(&server, "nobody");
    let room = json!({ "roomId": "club", "access": "members", "members": ["ann"] });
    backend.ok("POST", "/rooms", room).await;
    for given in [
        ticket(&ann, json!({})).await,
        ticket(&backend, json!({ "userId": "ann" })).await,
        ticket(&backend, json!({ "userId": "ann", "roomId": "club" })).await,
    ] {
        let query = [("roomId", "club"), ("ticket", &*given)];
        let mut stream = Stream::open(&nobody, "/events", &query, None)
            .await
            .unwrap();
        stream.event("ready").await;
        assert_eq!(refused(&nobody, &query).await, (401, "UNAUTHORIZED".into()));
    }
    let forbidden = (403, "FORBIDDEN".to_owned());
    for (asked, wanted) in [
        (json!({ "userId": "ann", "roomId": "club" }), "other"),
        (json!({ "userId": "bob" }), "club"),
    ] {
        let given = ticket(&backend, asked).await;
        let query = [("roomId", wanted), ("ticket", &*given)];
        assert_eq!(refused(&nobody, &query).await, forbidden);
    }
    let given = ticket(&backend, json!({ "userId": "ann", "roomId": "club" })).await;
    let opened = Stream::open(&nobody, "/activity", &[("ticket", &given)], None).await;
    assert_eq!(opened.err().unwrap().refusal(), (403, "FORBIDDEN"));
    let bobs = ann
        .write("POST", "/tickets", json!({ "userId": "bob" }))
        .await;
    assert_eq!(bobs.refusal(), (403, "FORBIDDEN"));
    let nobodys = backend.write("POST", "/tickets", json!({})).await;
    assert_eq!(nobodys.refusal(), (400, "INVALID_PAYLOAD"));
    // No ticket makes another one.
    let given = ticket(&ann, json!({})).await;
    let path = format!("/tickets?ticket={given}");
    let again = nobody.write("POST", &path, json!({})).await;
    assert_eq!(again.refusal(), (401, "UNAUTHORIZED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_rights_bound_its_streams() {
    let (server, backend) = server(&[]).await;
    let room = json!({ "roomId": "club", "access": "members", "members": ["ann"] });
    backend.ok("POST", "/rooms", room).await;
    let forbidden = (403, "FORBIDDEN".to_owned());
    let bounded = Backend::with(&server, &token("ann", 60, &["team-*"]));
    assert_eq!(refused(&bounded, &[("roomId", "r")]).await, forbidden);
    let asked = bounded
        .write("POST", "/tickets", json!({ "roomId": "r" }))
        .await;
    assert_eq!(asked.refusal(), (403, "FORBIDDEN"));
    let bob = user(&server, "bob");
    assert_eq!(refused(&bob, &[("roomId", "club")]).await, forbidden);
    let given = ticket(&bounded, json!({})).await;
    let query = [("roomId", "r"), ("ticket", &*given)];
    assert_eq!(refused(&bob, &query).await, forbidden);
    let users = Stream::open(&bob, "/activity", &[("userId", "ann")], None).await;
    assert_eq!(users.err().unwrap().refusal(), (403, "FORBIDDEN"));
    let nobodys = Stream::open(&backend, "/activity", &[], None).await;
    assert_eq!(nobodys.err().unwrap().refusal(), (400, "INVALID_PAYLOAD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let (server, _) = server(&[]).await;
    let ann = Backend::with(&server, &token("ann", 3, &[]));
    let given = ticket(&ann, json!({})).await;
    let mut stream = open(&ann, "r", None).await;
    let nobody = Backend::with(&server, "nobody");
    let query = [("roomId", "r"), ("ticket", &*given)];
    let mut by_ticket = Stream::open(&nobody, "/events", &query, None)
        .await
        .unwrap();
    for stream in [&mut stream, &mut by_ticket] {
        stream.event("ready").await;
        assert_eq!(stream.rest().await, []);
    }
    let late = refused(&ann, &[("roomId", "r")]).await;
    assert_eq!(late, (401, "TOKEN_EXPIRED".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_is_removed_hears_it_last() {
    let (server, backend) = server(&[]).await;
    let room = json!({ "roomId": "club", "access": "members", "members": ["ann", "bob"] });
    backend.ok("POST", "/rooms", room).await;
    let (ann, bob) = (user(&server, "ann"), user(&server, "bob"));
    let mut streams = [
        open(&ann, "club", None).await,
        open(&ann, "club", Some("0.0")).await,
    ];
    let mut others = [
        open(&bob, "club", None).await,
        open(&backend, "club", None).await,
    ];
    for stream in &mut others {
        stream.event("ready").await;
    }
    for stream in &mut streams {
        while stream.next().await.unwrap().name != "ready" {}
    }
    let query = [("roomId", "club"), ("userId", "ann")];
    assert_eq!(backend.delete("/members", &query).await.status, 200);
    backend.send("club", "bob", "without ann").await;
    for stream in &mut streams {
        let removed = stream.event("removed").await;
        assert_eq!(
            removed.data,
            json!({ "roomId": "club", "reason": "removed" })
        );
        assert_eq!(stream.rest().await, []);
    }
    for stream in &mut others {
        assert_eq!(
            stream.event("newMessage").await.data["message"],
            "without ann"
        );
    }
    assert_eq!(refused(&ann, &[("roomId", "club")]).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_disconnected_loses_its_streams() {
    let (server, backend) = server(&[]).await;
    let ann = user(&server, "ann");
    let mut events = open(&ann, "r", None).await;
    events.event("ready").await;
    let mut activity = Stream::open(&ann, "/activity", &[], None).await.unwrap();
    backend
        .ok("POST", "/disconnect", json!({ "userId": "ann" }))
        .await;
    assert_eq!(
        (events.rest().await, activity.rest().await),
        (vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_in_number_for_an_address_and_altogether() {
    let (server, backend) = server(&["--max-streams=4", "--max-streams-per-address=2"]).await;
    let limited = (429, "RATE_LIMITED".to_owned());
    let ann = user(&server, "ann");
    let mut open_ones = vec![];
    for caller in [&ann, &ann] {
        open_ones.push(open(caller, "r", None).await);
    }
    assert_eq!(refused(&ann, &[("roomId", "r")]).await, limited);
    // A backend counts towards the total alone.
    for caller in [&backend, &backend] {
        open_ones.push(open(caller, "r", None).await);
    }
    assert_eq!(refused(&backend, &[("roomId", "r")]).await, limited);
    open_ones.remove(0);
    crate::support::eventually("a free place", async || {
        Stream::open(&ann, "/events", &[("roomId", "r")], None)
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_listed_origins_alone_read_streams() {
    let (server, _) = server(&["--allowed-origins=https://shop.example"]).await;
    let bearer = token("ann", 60, &[]);
    let request = |method: Method, path: &str, origin: &str| {
        let url = format!("{}/api/v1{path}", server.url());
        let request = Client::new().request(method, url).bearer_auth(&bearer);
        request.header("origin", origin)
    };
    let path = "/events?roomId=r";
    let listed = request(Method::GET, path, "https://shop.example");
    let response = listed.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let allowed = &response.headers()["access-control-allow-origin"];
    assert_eq!(allowed, "https://shop.example");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let foreign = answer(request(Method::GET, path, "https://evil.example")).await;
    assert_eq!(foreign.refusal(), (403, "FORBIDDEN"));
    let preflight = request(Method::OPTIONS, "/tickets", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    let preflight = preflight.send().await.unwrap();
    assert!(preflight.status().is_success());
    let headers = &preflight.headers()["access-control-allow-headers"];
    assert_eq!(headers, "authorization,content-type");
    let rest = request(Method::GET, "/messages?roomId=r", "https://shop.example");
    let rest = rest.send().await.unwrap();
    assert!(!rest.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_a_figure() {
    let (server, backend) = server(&[SCRAPED]).await;
    let since = Since::now(server.metrics_address()).await;
    let streams = [
        open(&backend, "r", None).await,
        open(&backend, "r", None).await,
    ];
    since.until(&[("parlor_streams", 2.0)]).await;
    drop(streams);
    eventually("the streams to be gone", async || {
        since.grown("parlor_streams").await == 0.0
    })
    .await;
}
