//! Messages stored directly in a room's log.

use chrono::TimeDelta;
use parlor::model::{Body, Draft};

use super::Database;

/// Stores a user's messages, unnoticed by any server.
pub async fn append(database: &Database, room: &str, user: &str, texts: &[&str]) {
    append_old(
        database,
        room,
        texts.iter().map(|text| (0, user, (*text).to_owned())),
    )
    .await;
}

/// Stores messages, given by their age in minutes, their user and their text.
pub async fn append_old(
    database: &Database,
    room: &str,
    said: impl IntoIterator<Item = (i64, &str, String)>,
) {
    let draft = |(age, user, text): (i64, &str, String)| {
        let body = Body::parse(&text, text.len()).unwrap();
        let mut draft = Draft::new(
            room.try_into().unwrap(),
            user.try_into().unwrap(),
            None,
            body,
            None,
        );
        draft.timestamp -= TimeDelta::minutes(age);
        draft
    };
    let drafts: Vec<_> = said.into_iter().map(draft).collect();
    let store = database.store().await;
    store.append(&drafts).await.unwrap();
    store.close().await;
}
