//! Storing of batches with changes, a statement for each row.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::{
    Connection, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{
        batch::{Answers, Appended},
        changing::{self, Tables},
        conversing::{Talk, Talks},
        error::StoreError,
        fault,
        page::{Keep, Page, saturated},
        present::{OPERATORS_AMONG, Place, Reacted, Subject},
        row,
    },
    append,
    conversations::{self, TALK, time},
    read::message,
};
use crate::model::{
    Change, Committed, Draft, MAX_REACTORS, Message, Reaction, Revision, RoomId, Seq, UserId,
};

/// Makes the row of a room with messages that has none yet.
pub(super) const OPEN: &str = r#"
INSERT INTO revisions (room_id, last_revision) SELECT room_id, 0 FROM rooms WHERE room_id = ?1
ON CONFLICT (room_id) DO NOTHING"#;

pub(super) const REVISION: &str =
    "SELECT last_revision AS revision FROM revisions WHERE room_id = ?1";

const SUBJECT: &str = r#"
SELECT m.*, state, change_id FROM messages AS m LEFT JOIN message_states AS s ON s.room_id = m.room_id AND s.seq = m.seq
WHERE m.room_id = ?1 AND m.seq = ?2"#;

const EXISTS: &str = "SELECT 1 FROM messages WHERE room_id = ?1 AND seq = ?2";

const REACTED: &str =
    "SELECT 1 FROM reactions WHERE room_id = ?1 AND seq = ?2 AND reaction = ?3 AND user_id = ?4";

const PINS: &str = "SELECT count(*) AS count FROM message_states WHERE room_id = ?1 AND pinned";

const HAS_OPERATORS: &str = r#"
SELECT 1 FROM (SELECT operator_id FROM messages WHERE room_id = ?1 ORDER BY seq DESC LIMIT ?2)
WHERE operator_id IS NOT NULL LIMIT 1"#;

const ADD: &str = "INSERT INTO reactions (room_id, seq, reaction, user_id) VALUES (?1, ?2, ?3, ?4)";

const REMOVE: &str =
    "DELETE FROM reactions WHERE room_id = ?1 AND seq = ?2 AND reaction = ?3 AND user_id = ?4";

const ERASE: &str = "DELETE FROM reactions WHERE room_id = ?1 AND seq = ?2";

const REACTORS: &str = r#"
SELECT user_id FROM reactions WHERE room_id = ?1 AND seq = ?2 AND reaction = ?3 ORDER BY user_id LIMIT ?4"#;

const REWRITE: &str = "UPDATE messages SET message = ?3 WHERE room_id = ?1 AND seq = ?2";

/// A new message's state replaces none: it may come from an attempt that was stored.
const STATE: &str = r#"
INSERT INTO message_states (room_id, seq, revision, change_id, reply_to, pinned, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (room_id, seq) DO UPDATE
SET revision = excluded.revision, change_id = excluded.change_id, pinned = excluded.pinned, state = excluded.state
WHERE excluded.revision IS NOT NULL"#;

pub(super) const COUNT: &str = "UPDATE revisions SET last_revision = ?2 WHERE room_id = ?1";

const OLDEST_REPLIES: &str = r#"
SELECT m.*, s.state FROM message_states AS s JOIN messages AS m USING (room_id, seq)
WHERE s.room_id = ?1 AND s.reply_to = ?2 AND s.seq > ?3 AND s.seq < ?4 ORDER BY s.seq LIMIT ?5"#;

const NEWEST_REPLIES: &str = r#"
SELECT m.*, s.state FROM message_states AS s JOIN messages AS m USING (room_id, seq)
WHERE s.room_id = ?1 AND s.reply_to = ?2 AND s.seq > ?3 AND s.seq < ?4 ORDER BY s.seq DESC LIMIT ?5"#;

const CHANGES: &str = r#"
SELECT m.*, s.state FROM message_states AS s JOIN messages AS m USING (room_id, seq)
WHERE s.room_id = ?1 AND s.revision > ?2 ORDER BY s.revision LIMIT ?3"#;

pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Stores a batch with changes in one transaction.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    drafts: &[Draft],
    changes: &[Change],
) -> Result<Committed, StoreError> {
    let transaction = connection.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = transaction.map_err(fault::classify)?;
    let mut tables = SqliteTables {
        connection: &mut transaction,
    };
    let committed = changing::commit(&mut tables, drafts, changes).await?;
    transaction.commit().await.map_err(fault::classify)?;
    Ok(committed)
}

/// Reads the messages of a room with changes after a revision.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn read(
    readers: &SqlitePool,
    room: &RoomId,
    after: Revision,
    limit: usize,
) -> Result<Vec<Message>, StoreError> {
    let query = sqlx::query(CHANGES)
        .bind(room.as_str())
        .bind(after.get())
        .bind(saturated(limit));
    let rows = query.fetch_all(readers).await.map_err(fault::classify)?;
    Ok(rows.iter().filter_map(|row| message(row).ok()).collect())
}

/// Reads a part of the replies to a message, oldest first.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn read_replies(
    readers: &SqlitePool,
    room: &RoomId,
    to: Seq,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    let rows = replies(room, to, page).fetch_all(readers).await;
    let rows = rows.map_err(fault::classify)?;
    let mut messages: Vec<_> = rows.iter().filter_map(|row| message(row).ok()).collect();
    messages.sort_unstable_by_key(|message| message.seq);
    Ok(messages)
}

/// Returns the statement that reads a part of the replies to a message.
fn replies(room: &RoomId, to: Seq, page: Page) -> Query<'_> {
    let sql = match page.keep {
        Keep::Oldest => OLDEST_REPLIES,
        Keep::Newest => NEWEST_REPLIES,
    };
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(to.get())
        .bind(page.after.get())
        .bind(page.before.get())
        .bind(saturated(page.limit))
}

/// The tables, within a transaction.
struct SqliteTables<'c> {
    connection: &'c mut SqliteConnection,
}

impl SqliteTables<'_> {
    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        let rows = query.fetch_all(&mut *self.connection).await;
        rows.map_err(fault::classify)
    }

    async fn is_found(&mut self, query: Query<'_>) -> Result<bool, StoreError> {
        Ok(!self.fetch(query).await?.is_empty())
    }
}

fn at<'q>(sql: &'static str, (room, seq): &'q Place) -> Query<'q> {
    sqlx::query(sql).bind(room.as_str()).bind(seq.get())
}

fn of<'q>(sql: &'static str, reacted: &'q Reacted) -> Query<'q> {
    at(sql, &reacted.place)
        .bind(reacted.reaction.as_str())
        .bind(reacted.user_id.as_str())
}

/// Returns the statement that writes the state of a message.
pub(super) fn state(Subject { message, change_id }: &Subject) -> Query<'static> {
    let revision = message.revision().get();
    sqlx::query(STATE)
        .bind(message.room_id.as_str().to_owned())
        .bind(message.seq.get())
        .bind((revision > 0).then_some(revision))
        .bind(change_id.map(|id| id.to_string()))
        .bind(message.reply_to().map(Seq::get))
        .bind(message.is_pinned())
        .bind(row::state_json(message))
}

impl Tables for SqliteTables<'_> {
    async fn existing(&mut self, places: &BTreeSet<Place>) -> Result<HashSet<Place>, StoreError> {
        let mut existing = HashSet::new();
        for place in places {
            if self.is_found(at(EXISTS, place)).await? {
                existing.insert(place.clone());
            }
        }
        Ok(existing)
    }

    async fn held(&mut self, drafts: &[&Draft]) -> Result<Answers, StoreError> {
        append::held(self.connection, drafts).await
    }

    async fn append(&mut self, drafts: &[&Draft]) -> Result<Appended, StoreError> {
        append::append(self.connection, drafts).await
    }

    async fn lock(
        &mut self,
        rooms: &BTreeSet<&RoomId>,
    ) -> Result<HashMap<RoomId, Revision>, StoreError> {
        let mut revisions = HashMap::new();
        for room in rooms {
            self.fetch(sqlx::query(OPEN).bind(room.as_str())).await?;
            let rows = self
                .fetch(sqlx::query(REVISION).bind(room.as_str()))
                .await?;
            if let Some(row) = rows.first() {
                revisions.insert((*room).clone(), row::revision(row)?);
            }
        }
        Ok(revisions)
    }

    async fn subjects(&mut self, places: &BTreeSet<Place>) -> Result<Vec<Subject>, StoreError> {
        let mut subjects = vec![];
        for place in places {
            for row in &self.fetch(at(SUBJECT, place)).await? {
                let change_id: Option<String> = row::value(row, "change_id")?;
                let change_id = change_id.map(|id| id.parse()).transpose();
                subjects.push(Subject {
                    message: message(row)?,
                    change_id: change_id.map_err(|error| row::unreadable("change_id", error))?,
                });
            }
        }
        Ok(subjects)
    }

    async fn reacted(
        &mut self,
        reactions: &BTreeSet<Reacted>,
    ) -> Result<HashSet<Reacted>, StoreError> {
        let mut set = HashSet::new();
        for reacted in reactions {
            if self.is_found(of(REACTED, reacted)).await? {
                set.insert(reacted.clone());
            }
        }
        Ok(set)
    }

    async fn pins(&mut self, room: &RoomId) -> Result<i64, StoreError> {
        let rows = self.fetch(sqlx::query(PINS).bind(room.as_str())).await?;
        rows.first().map_or(Ok(0), |row| row::value(row, "count"))
    }

    async fn has_operators(&mut self, room: &RoomId) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_OPERATORS)
            .bind(room.as_str())
            .bind(OPERATORS_AMONG);
        self.is_found(query).await
    }

    async fn write_reactions(
        &mut self,
        added: &[&Reacted],
        removed: &[&Reacted],
        deleted: &[&Place],
    ) -> Result<(), StoreError> {
        let deleted = deleted.iter().map(|place| at(ERASE, place));
        let removed = removed.iter().map(|reacted| of(REMOVE, reacted));
        let added = added.iter().map(|reacted| of(ADD, reacted));
        for query in deleted.chain(removed).chain(added) {
            self.fetch(query).await?;
        }
        Ok(())
    }

    async fn reactors(
        &mut self,
        reactions: &BTreeSet<(Place, Reaction)>,
    ) -> Result<Vec<(Place, Reaction, UserId)>, StoreError> {
        let mut reactors = vec![];
        for (place, reaction) in reactions {
            let query = at(REACTORS, place)
                .bind(reaction.as_str())
                .bind(MAX_REACTORS as i64);
            for row in &self.fetch(query).await? {
                let user = row::parsed(row, "user_id")?;
                reactors.push((place.clone(), reaction.clone(), user));
            }
        }
        Ok(reactors)
    }

    async fn rewrite(&mut self, messages: &[&Message]) -> Result<(), StoreError> {
        for message in messages {
            let query = sqlx::query(REWRITE)
                .bind(message.room_id.as_str())
                .bind(message.seq.get())
                .bind(message.body.as_str());
            self.fetch(query).await?;
        }
        Ok(())
    }

    async fn write_states(&mut self, changed: &[&Subject]) -> Result<(), StoreError> {
        for subject in changed {
            self.fetch(state(subject)).await?;
        }
        Ok(())
    }

    async fn count(&mut self, rooms: &BTreeMap<&RoomId, Revision>) -> Result<(), StoreError> {
        for (room, revision) in rooms {
            let query = sqlx::query(COUNT).bind(room.as_str()).bind(revision.get());
            self.fetch(query).await?;
        }
        Ok(())
    }

    async fn conversations(&mut self, rooms: &BTreeSet<&RoomId>) -> Result<Talks, StoreError> {
        let mut talks = Talks::new();
        for room in rooms {
            let rows = self.fetch(sqlx::query(TALK).bind(room.as_str())).await?;
            let talk = rows.first().map(|row| row::talk(row, time)).transpose()?;
            talks.extend(talk.flatten().map(|talk| ((*room).clone(), talk)));
        }
        Ok(talks)
    }

    async fn write_conversation(&mut self, room: &RoomId, talk: &Talk) -> Result<(), StoreError> {
        self.fetch(conversations::write(room, talk)).await.map(drop)
    }
}
