//! The page, in a real browser.

use crate::support::{Server, node};

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_chat_in_a_room_and_find_its_history_after_a_reload() {
    let server = Server::start().await;
    node::run("page.mjs", &[&server.url()]).await;
}
