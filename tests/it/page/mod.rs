//! The page, in a real browser. The scripts are in `tests/clients`.

mod calls;

use futures_util::future::join;

use crate::support::{
    Database, Process, Server, free_port,
    log::{append, append_old},
    node,
};

/// A conversation, with the age of each message in minutes.
const GARDEN_CLUB: [(i64, &str, &str); 6] = [
    (
        1_445,
        "Priya",
        "The seedlings are in. They want a can of water tonight.",
    ),
    (21, "Jonas", "Morning! They made it through the night."),
    (
        21,
        "Jonas",
        "The tomatoes look best, the basil wants more light.",
    ),
    (
        16,
        "Priya",
        "I can bring a lamp on Saturday: https://example.com/grow-light",
    ),
    (9, "Maya", "Saturday is perfect, I'll be there from ten."),
    (3, "Priya", "Wonderful! I'll bring tea as well."),
];

#[tokio::test(flavor = "multi_thread")]
async fn people_chat_on_the_page() {
    let server = Server::start().await;
    node::run("page_chat.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_members_unread_messages_and_failures() {
    let server = Server::start().await;
    node::run("page_room.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_messages_appear_and_are_there_after_a_reload() {
    let server = Server::start().await;
    node::run("page_changes.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_change_messages_and_see_what_is_unread() {
    let server = Server::start().await;
    node::run("page_inbox.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_create_rooms_and_are_removed_from_them() {
    let server = Server::start().await;
    node::run("page_rooms.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_leads_into_a_room_and_refusals_lead_back() {
    let server = Server::start().await;
    node::run("page_entry.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_stays_text_on_the_page() {
    let server = Server::start().await;
    node::run("page_safety.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_offline_misses_nothing_and_loses_nothing() {
    let server = Server::start().await;
    node::run("page_away.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_flight_when_the_server_is_killed_arrives_once() {
    let (port, database) = (free_port(), Database::sqlite());
    let server = Process::at(port, &database).await;
    let (url, id) = (
        format!("http://{}", server.address),
        server.id().to_string(),
    );
    let replaced = async {
        server.ended().await;
        append(
            &database,
            "room",
            "carol",
            &["missed 1", "missed 2", "missed 3"],
        )
        .await;
        Process::at(port, &database).await
    };
    join(node::run("page_killed.mjs", &[&url, &id]), replaced).await;
}

/// Starts a server with the rooms "old", with `message 1` to `message 130`, and "yesterday", with
/// one message, a day old.
async fn server_with_history() -> Server {
    let database = Database::sqlite();
    append_old(
        &database,
        "old",
        (1..=130).map(|number| (30 * (130 - number), "bob", format!("message {number}"))),
    )
    .await;
    append_old(
        &database,
        "yesterday",
        [(24 * 60, "bob", "message 1".to_owned())],
    )
    .await;
    Server::on(database, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn scrolling_up_shows_earlier_messages() {
    let server = server_with_history().await;
    node::run("page_history.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scrolling_up_slowly_while_others_talk_is_not_pulled_back() {
    let server = server_with_history().await;
    node::run("page_scroll.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_typed_before_the_scripts_have_loaded_is_kept() {
    let server = Server::start().await;
    node::run("page_early.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_behind_a_proxy_under_a_path() {
    let server = Server::start().await;
    node::run("page_prefix.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_texts_of_all_scripts_stay_in_their_place() {
    let server = Server::start().await;
    node::run("page_scripts.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_send_hides_no_message_and_can_be_discarded() {
    let server = Server::start().await;
    node::run("page_failed.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_outlive_a_reload() {
    let server = Server::start().await;
    node::run("page_drafts.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn escape_discards_no_draft() {
    let server = Server::start().await;
    node::run("page_escape.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_on_a_phone() {
    let server = Server::start().await;
    node::run("page_phone.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_very_long_absence_the_page_shows_the_newest_messages() {
    let database = Database::sqlite();
    append_old(
        &database,
        "long",
        (1..=100).map(|number| (60, "bob", format!("message {number}"))),
    )
    .await;
    let server = Server::on(database, &["--messages-per-second=0"]).await;
    node::run("page_long.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test]
async fn every_code_has_words() {
    node::run("words.mjs", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_explained_in_everyday_words() {
    let secret = format!("--jwt-secret={}", "secret".repeat(6));
    let (server, signed) = (
        Server::start().await,
        Server::on(Database::sqlite(), &[&secret]).await,
    );
    node::run(
        "page_words.mjs",
        &[&server.url(), "websocket", &signed.url()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_usable_in_light() {
    the_page_is_usable("light").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_usable_in_dark() {
    the_page_is_usable("dark").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_to_new_messages_is_legible_in_light() {
    let server = Server::start().await;
    node::run("page_pill.mjs", &[&server.url(), "websocket", "light"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_to_new_messages_is_legible_in_dark() {
    let server = Server::start().await;
    node::run("page_pill.mjs", &[&server.url(), "websocket", "dark"]).await;
}

async fn the_page_is_usable(color_scheme: &str) {
    let database = Database::sqlite();
    append_old(
        &database,
        "Garden club",
        GARDEN_CLUB.map(|(age, user, text)| (age, user, text.to_owned())),
    )
    .await;
    let server = Server::on(database, &[]).await;
    node::run(
        "page_looks.mjs",
        &[&server.url(), "websocket", color_scheme],
    )
    .await;
}
