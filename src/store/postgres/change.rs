//! Storing of batches with changes: one transaction, a statement for each step.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::ErrorKind,
};

use sqlx::postgres::PgRow;
use tokio::time::timeout;

use super::{
    super::{
        batch::{Answers, Appended},
        changing::{self, Tables},
        conversing::{Talk, Talks},
        error::StoreError,
        fault,
        present::{OPERATORS_AMONG, Place, Reacted, Subject},
        row,
    },
    append::{self, ByRoom},
    conversations,
    pools::{Pools, Query, Session},
    read::message,
    work::{STATEMENTS_TIMEOUT, Work},
};
use crate::model::{
    Change, Committed, Draft, MAX_REACTORS, Message, Reaction, Revision, RoomId, Seq, UserId,
};

/// Makes the rows of rooms with messages that have none yet.
pub(super) const OPEN: &str = r#"
INSERT INTO revisions (room_id, last_revision) SELECT room_id, 0 FROM rooms WHERE room_id = ANY($1)
ORDER BY room_id ON CONFLICT (room_id) DO NOTHING"#;

/// Locks in the order of the names, so that two writers cannot deadlock.
pub(super) const LOCK: &str = r#"
SELECT room_id, last_revision AS revision FROM revisions WHERE room_id = ANY($1) ORDER BY room_id FOR NO KEY UPDATE"#;

const SUBJECTS: &str = r#"
SELECT m.*, state, change_id
FROM unnest($1::text[], $2::bigint[]) AS place (room_id, seq)
JOIN messages m ON m.room_id = place.room_id COLLATE "C" AND m.seq = place.seq
LEFT JOIN message_states s ON s.room_id = m.room_id AND s.seq = m.seq"#;

const EXISTING: &str = r#"
SELECT m.room_id, m.seq FROM unnest($1::text[], $2::bigint[]) AS place (room_id, seq)
JOIN messages m ON m.room_id = place.room_id COLLATE "C" AND m.seq = place.seq"#;

const REACTED: &str = r#"
SELECT r.* FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS asked (room_id, seq, reaction, user_id)
JOIN reactions r ON r.room_id = asked.room_id COLLATE "C" AND r.seq = asked.seq
    AND r.reaction = asked.reaction COLLATE "C" AND r.user_id = asked.user_id COLLATE "C""#;

const PINS: &str = "SELECT count(*) AS count FROM message_states WHERE room_id = $1 AND pinned";

const HAS_OPERATORS: &str = r#"
SELECT 1 FROM (SELECT operator_id FROM messages WHERE room_id = $1 ORDER BY seq DESC LIMIT $2) AS newest
WHERE operator_id IS NOT NULL LIMIT 1"#;

const ADD: &str = r#"
INSERT INTO reactions (room_id, seq, reaction, user_id)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[])"#;

const REMOVE: &str = r#"
DELETE FROM reactions r USING unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS gone (room_id, seq, reaction, user_id)
WHERE r.room_id = gone.room_id COLLATE "C" AND r.seq = gone.seq
    AND r.reaction = gone.reaction COLLATE "C" AND r.user_id = gone.user_id COLLATE "C""#;

const ERASE: &str = r#"
DELETE FROM reactions r USING unnest($1::text[], $2::bigint[]) AS gone (room_id, seq)
WHERE r.room_id = gone.room_id COLLATE "C" AND r.seq = gone.seq"#;

const REACTORS: &str = r#"
SELECT first.* FROM unnest($1::text[], $2::bigint[], $3::text[]) AS kind (room_id, seq, reaction)
CROSS JOIN LATERAL (
    SELECT * FROM reactions r WHERE r.room_id = kind.room_id COLLATE "C" AND r.seq = kind.seq
        AND r.reaction = kind.reaction COLLATE "C" ORDER BY r.user_id LIMIT $4
) AS first"#;

const REWRITE: &str = r#"
UPDATE messages m SET message = new.message
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS new (room_id, seq, message)
WHERE m.room_id = new.room_id COLLATE "C" AND m.seq = new.seq"#;

/// A new message's state replaces none: it may come from an attempt that was stored.
const STATES: &str = r#"
INSERT INTO message_states (room_id, seq, revision, change_id, reply_to, pinned, state)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::boolean[], $7::text[])
ON CONFLICT (room_id, seq) DO UPDATE
SET revision = excluded.revision, change_id = excluded.change_id, pinned = excluded.pinned, state = excluded.state
WHERE excluded.revision IS NOT NULL"#;

const COUNT: &str = r#"
UPDATE revisions r SET last_revision = new.revision
FROM unnest($1::text[], $2::bigint[]) AS new (room_id, revision) WHERE r.room_id = new.room_id COLLATE "C""#;

/// Stores a batch with changes.
///
/// # Errors
///
/// See [`StoreError`].
pub(super) async fn commit(
    pools: &Pools,
    drafts: &[Draft],
    changes: &[Change],
) -> Result<Committed, StoreError> {
    let outcome = match attempt(pools, drafts, changes, false).await {
        Err(StoreError::Conflict(_)) => attempt(pools, drafts, changes, true).await,
        Err(StoreError::Unavailable(cause)) if pools.detect_pooler(cause.error()) => {
            attempt(pools, drafts, changes, false).await
        }
        outcome => outcome,
    };
    match outcome {
        Err(StoreError::Locked { cause, .. }) => {
            let drafts = drafts.iter().map(|draft| &draft.room_id);
            let changes = changes.iter().map(|change| &change.room_id);
            let rooms = BTreeSet::from_iter(drafts.chain(changes));
            Err(append::blocked(pools, &names(rooms), cause).await)
        }
        outcome => outcome,
    }
}

/// Stores a batch; looks for its drafts in the log first if asked to.
async fn attempt(
    pools: &Pools,
    drafts: &[Draft],
    changes: &[Change],
    look: bool,
) -> Result<Committed, StoreError> {
    let session = pools.begin(Work::Write).await.map_err(failed)?;
    let mut tables = PostgresTables { session, look };
    let committing = changing::commit(&mut tables, drafts, changes);
    let committed = match timeout(STATEMENTS_TIMEOUT, committing).await {
        Ok(committed) => committed,
        Err(_) => Err(failed(std::io::Error::from(ErrorKind::TimedOut).into())),
    };
    let session = tables.session;
    match committed {
        Ok(committed) => session.commit().await.map_err(failed).map(|()| committed),
        Err(error) => {
            if !matches!(error, StoreError::Unavailable(_)) {
                session.roll_back().await;
            }
            Err(error)
        }
    }
}

/// Classifies an error within a transaction; the caller finds the locked rooms.
fn failed(cause: sqlx::Error) -> StoreError {
    if fault::is_lock_timeout(&cause) {
        return StoreError::Locked {
            rooms: vec![],
            cause: cause.into(),
        };
    }
    fault::classify(cause)
}

/// The tables, within a transaction.
struct PostgresTables {
    session: Session,
    /// True to look for drafts in the log before they are stored.
    look: bool,
}

impl PostgresTables {
    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, StoreError> {
        self.session.fetch(query).await.map_err(failed)
    }
}

fn names<'a>(rooms: impl IntoIterator<Item = &'a RoomId>) -> Vec<&'a str> {
    rooms.into_iter().map(RoomId::as_str).collect()
}

fn at<'a>(
    sql: &'static str,
    places: impl IntoIterator<Item = &'a Place, IntoIter: Clone>,
) -> Query<'static> {
    let places = places.into_iter();
    sqlx::query(sql)
        .bind(names(places.clone().map(|(room, _)| room)))
        .bind(places.map(|(_, seq)| seq.get()).collect::<Vec<_>>())
}

fn of<'a>(
    sql: &'static str,
    reactions: impl IntoIterator<Item = &'a Reacted, IntoIter: Clone>,
) -> Query<'static> {
    let reactions = reactions.into_iter();
    let kinds = reactions.clone().map(|reacted| reacted.reaction.as_str());
    let users = reactions.clone().map(|reacted| reacted.user_id.as_str());
    at(sql, reactions.clone().map(|reacted| &reacted.place))
        .bind(kinds.collect::<Vec<_>>())
        .bind(users.collect::<Vec<_>>())
}

/// Reads a place out of its row.
fn place(row: &PgRow) -> Result<Place, StoreError> {
    Ok((row::parsed(row, "room_id")?, row::seq(row)?))
}

fn reaction(row: &PgRow) -> Result<Reaction, StoreError> {
    row::value(row, "reaction").map(Reaction::from_store)
}

/// Returns the statement that writes the states of messages.
pub(super) fn states(changed: &[&Subject]) -> Query<'static> {
    let messages = || changed.iter().map(|subject| &subject.message);
    let revisions = messages().map(|message| message.revision().get());
    let revisions = revisions.map(|revision| (revision > 0).then_some(revision));
    let ids = changed.iter().map(|subject| subject.change_id);
    let replies = messages().map(|message| message.reply_to().map(Seq::get));
    sqlx::query(STATES)
        .bind(names(messages().map(|message| &message.room_id)))
        .bind(Vec::from_iter(messages().map(|message| message.seq.get())))
        .bind(revisions.collect::<Vec<_>>())
        .bind(ids.collect::<Vec<_>>())
        .bind(replies.collect::<Vec<_>>())
        .bind(Vec::from_iter(messages().map(Message::is_pinned)))
        .bind(Vec::from_iter(messages().map(row::state_json)))
}

impl Tables for PostgresTables {
    async fn existing(&mut self, places: &BTreeSet<Place>) -> Result<HashSet<Place>, StoreError> {
        let rows = self.fetch(at(EXISTING, places)).await?;
        rows.iter().map(place).collect()
    }

    async fn held(&mut self, drafts: &[&Draft]) -> Result<Answers, StoreError> {
        let rows = self.fetch(append::held(drafts)).await?;
        let mut answers = Answers::new(drafts.len());
        append::take_held(&rows, &mut answers)?;
        Ok(answers)
    }

    async fn append(&mut self, drafts: &[&Draft]) -> Result<Appended, StoreError> {
        let answers = match self.look {
            true => self.held(drafts).await?,
            false => Answers::new(drafts.len()),
        };
        let fresh = answers.missing(drafts);
        if fresh.is_empty() {
            return answers.append(drafts, vec![]);
        }
        let batch = ByRoom::new(&fresh);
        let rows = self.fetch(append::insert(&fresh, &batch)).await?;
        answers.append(drafts, batch.numbered(&fresh, &rows)?)
    }

    async fn lock(
        &mut self,
        rooms: &BTreeSet<&RoomId>,
    ) -> Result<HashMap<RoomId, Revision>, StoreError> {
        let rooms = names(rooms.iter().copied());
        self.fetch(sqlx::query(OPEN).bind(rooms.clone())).await?;
        let rows = self.fetch(sqlx::query(LOCK).bind(rooms)).await?;
        rows.iter()
            .map(|row| Ok((row::parsed(row, "room_id")?, row::revision(row)?)))
            .collect()
    }

    async fn subjects(&mut self, places: &BTreeSet<Place>) -> Result<Vec<Subject>, StoreError> {
        let rows = self.fetch(at(SUBJECTS, places)).await?;
        let subject = |row: &PgRow| {
            Ok(Subject {
                message: message(row)?,
                change_id: row::value(row, "change_id")?,
            })
        };
        rows.iter().map(subject).collect()
    }

    async fn reacted(
        &mut self,
        reactions: &BTreeSet<Reacted>,
    ) -> Result<HashSet<Reacted>, StoreError> {
        let rows = self.fetch(of(REACTED, reactions)).await?;
        let reacted = |row: &PgRow| {
            Ok(Reacted {
                place: place(row)?,
                reaction: reaction(row)?,
                user_id: row::parsed(row, "user_id")?,
            })
        };
        rows.iter().map(reacted).collect()
    }

    async fn pins(&mut self, room: &RoomId) -> Result<i64, StoreError> {
        let rows = self.fetch(sqlx::query(PINS).bind(room.as_str())).await?;
        rows.first().map_or(Ok(0), |row| row::value(row, "count"))
    }

    async fn has_operators(&mut self, room: &RoomId) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_OPERATORS)
            .bind(room.as_str())
            .bind(OPERATORS_AMONG);
        Ok(!self.fetch(query).await?.is_empty())
    }

    async fn write_reactions(
        &mut self,
        added: &[&Reacted],
        removed: &[&Reacted],
        deleted: &[&Place],
    ) -> Result<(), StoreError> {
        if !deleted.is_empty() {
            self.fetch(at(ERASE, deleted.iter().copied())).await?;
        }
        if !removed.is_empty() {
            self.fetch(of(REMOVE, removed.iter().copied())).await?;
        }
        if !added.is_empty() {
            self.fetch(of(ADD, added.iter().copied())).await?;
        }
        Ok(())
    }

    async fn reactors(
        &mut self,
        reactions: &BTreeSet<(Place, Reaction)>,
    ) -> Result<Vec<(Place, Reaction, UserId)>, StoreError> {
        let kinds = reactions.iter().map(|(_, reaction)| reaction.as_str());
        let query = at(REACTORS, reactions.iter().map(|(place, _)| place))
            .bind(kinds.collect::<Vec<_>>())
            .bind(MAX_REACTORS as i64);
        let rows = self.fetch(query).await?;
        let reactor = |row: &PgRow| Ok((place(row)?, reaction(row)?, row::parsed(row, "user_id")?));
        rows.iter().map(reactor).collect()
    }

    async fn rewrite(&mut self, messages: &[&Message]) -> Result<(), StoreError> {
        let places = messages.iter().map(|message| message.seq.get());
        let bodies = messages.iter().map(|message| message.body.as_str());
        let query = sqlx::query(REWRITE)
            .bind(names(messages.iter().map(|message| &message.room_id)))
            .bind(places.collect::<Vec<_>>())
            .bind(bodies.collect::<Vec<_>>());
        self.fetch(query).await.map(drop)
    }

    async fn write_states(&mut self, changed: &[&Subject]) -> Result<(), StoreError> {
        self.fetch(states(changed)).await.map(drop)
    }

    async fn count(&mut self, rooms: &BTreeMap<&RoomId, Revision>) -> Result<(), StoreError> {
        let revisions = rooms.values().map(|revision| revision.get());
        let query = sqlx::query(COUNT)
            .bind(names(rooms.keys().copied()))
            .bind(revisions.collect::<Vec<_>>());
        self.fetch(query).await.map(drop)
    }

    async fn conversations(&mut self, rooms: &BTreeSet<&RoomId>) -> Result<Talks, StoreError> {
        let rooms = names(rooms.iter().copied());
        conversations::talks(&self.fetch(conversations::select(rooms)).await?)
    }

    async fn write_conversation(&mut self, room: &RoomId, talk: &Talk) -> Result<(), StoreError> {
        self.fetch(conversations::write(room, talk)).await.map(drop)
    }
}
