//! The index of words: a `tsvector` for each message, made of words split here.

use std::{collections::BTreeMap, io::ErrorKind};

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tokio::time::timeout;

use super::{
    super::{
        error::StoreError, fault, page::saturated, row, search_store::SearchStore, words::Words,
    },
    PostgresStore,
    memberships::fetch,
    pools::Session,
    read::message,
    work::{STATEMENTS_TIMEOUT, Work},
};
use crate::model::{Message, RoomId, Seq};

const OPEN: &str = r#"
INSERT INTO search_cursors (room_id, seq, revision) SELECT room_id, 0, 0 FROM rooms WHERE room_id = ANY($1)
ORDER BY room_id ON CONFLICT (room_id) DO NOTHING"#;

/// One server at a time indexes a room. The statements after this one see what the server before has
/// written.
const LOCK: &str = r#"
SELECT room_id, seq, revision FROM search_cursors WHERE room_id = ANY($1) ORDER BY room_id FOR UPDATE SKIP LOCKED"#;

const NEXT: &str = r#"
SELECT n.* FROM unnest($1::text[], $2::bigint[]) AS cursor (room_id, seq)
CROSS JOIN LATERAL (
    SELECT room_id, seq, message FROM messages m WHERE m.room_id = cursor.room_id COLLATE "C" AND m.seq > cursor.seq
    ORDER BY m.seq LIMIT $3
) AS n LIMIT $3"#;

/// After [`NEXT`], so that no change is missed between the two.
const CHANGED: &str = r#"
SELECT n.* FROM unnest($1::text[], $2::bigint[]) AS cursor (room_id, revision)
CROSS JOIN LATERAL (
    SELECT s.room_id, s.seq, s.revision, m.message FROM message_states s JOIN messages m USING (room_id, seq)
    WHERE s.room_id = cursor.room_id COLLATE "C" AND s.revision > cursor.revision ORDER BY s.revision LIMIT $3
) AS n LIMIT $3"#;

/// A message that is new and has changed comes twice: its last state counts.
const WRITE: &str = r#"
INSERT INTO search_documents (room_id, seq, words)
SELECT room_id, seq, array_to_tsvector(string_to_array(words, ' ')) FROM unnest($1::text[], $2::bigint[], $3::text[]) AS new (room_id, seq, words)
WHERE words <> '' ON CONFLICT (room_id, seq) DO UPDATE SET words = excluded.words"#;

const ERASE: &str = r#"
DELETE FROM search_documents d USING unnest($1::text[], $2::bigint[], $3::text[]) AS new (room_id, seq, words)
WHERE d.room_id = new.room_id COLLATE "C" AND d.seq = new.seq AND new.words = ''"#;

const MOVE: &str = r#"
UPDATE search_cursors c SET seq = new.seq, revision = new.revision
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (room_id, seq, revision) WHERE c.room_id = new.room_id COLLATE "C""#;

const UNINDEXED: &str = r#"
SELECT r.room_id FROM rooms r LEFT JOIN search_cursors c USING (room_id) LEFT JOIN revisions v USING (room_id)
WHERE ($1::text IS NULL OR r.room_id > $1)
    AND (
        r.last_seq > coalesce(c.seq, 0)
            AND EXISTS (SELECT FROM messages m WHERE m.room_id = r.room_id AND m.seq > coalesce(c.seq, 0))
        OR coalesce(v.last_revision, 0) > coalesce(c.revision, 0)
            AND EXISTS (SELECT FROM message_states s WHERE s.room_id = r.room_id AND s.revision > coalesce(c.revision, 0))
    )
ORDER BY r.room_id LIMIT $2"#;

/// Reads the messages themselves: a word may be of an earlier text.
const SEARCH: &str = r#"
SELECT m.*, (SELECT state FROM message_states s WHERE s.room_id = m.room_id AND s.seq = m.seq) AS state
FROM search_documents d JOIN messages m USING (room_id, seq)
WHERE d.words @@ $1::tsquery AND d.room_id = ANY($2) AND d.seq < $3 AND m.message <> ''
ORDER BY m."timestamp" DESC, m.seq DESC LIMIT $4"#;

#[async_trait]
impl SearchStore for PostgresStore {
    async fn index(&self, rooms: &[RoomId], limit: usize) -> Result<usize, StoreError> {
        let session = self
            .pools
            .begin(Work::Write)
            .await
            .map_err(fault::classify)?;
        let mut indexing = Indexing {
            session,
            cursors: BTreeMap::new(),
            limit: saturated(limit),
        };
        let indexed = match timeout(STATEMENTS_TIMEOUT, indexing.run(rooms)).await {
            Ok(Ok(count)) => indexing.session.commit().await.map(|()| count),
            Ok(Err(error)) => {
                indexing.session.roll_back().await;
                Err(error)
            }
            Err(_) => Err(std::io::Error::from(ErrorKind::TimedOut).into()),
        };
        indexed.map_err(fault::classify)
    }

    async fn unindexed(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        let (after, limit) = (after.map(RoomId::as_str), saturated(limit));
        let query = || sqlx::query(UNINDEXED).bind(after).bind(limit);
        let rows = fetch(&self.pools, Work::Read, query).await?;
        rows.iter().map(|row| row::parsed(row, "room_id")).collect()
    }

    async fn search(
        &self,
        words: &Words,
        rooms: &[RoomId],
        before: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let prefixes = words.iter().map(|word| format!("'{word}':*"));
        let asked = Vec::from_iter(prefixes).join(" & ");
        let rooms: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        let query = || {
            sqlx::query(SEARCH)
                .bind(&asked)
                .bind(rooms.clone())
                .bind(before.get())
                .bind(saturated(limit))
        };
        let rows = fetch(&self.pools, Work::Read, query).await?;
        Ok(rows.iter().filter_map(|row| message(row).ok()).collect())
    }
}

/// The indexing of some rooms, in a transaction.
struct Indexing {
    session: Session,
    /// The locked rooms, with the newest message and the newest change whose words are written.
    cursors: BTreeMap<String, (i64, i64)>,
    limit: i64,
}

impl Indexing {
    async fn run(&mut self, rooms: &[RoomId]) -> Result<usize, sqlx::Error> {
        let names: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
        let asked = names.len();
        self.session
            .fetch(sqlx::query(OPEN).bind(names.clone()))
            .await?;
        for row in self.session.fetch(sqlx::query(LOCK).bind(names)).await? {
            let place = (column(&row, "seq")?, column(&row, "revision")?);
            self.cursors.insert(column(&row, "room_id")?, place);
        }
        let skipped = asked - self.cursors.len();
        let next = self.next(NEXT, |(seq, _)| *seq).await?;
        let changed = self.next(CHANGED, |(_, revision)| *revision).await?;
        let mut documents = BTreeMap::new();
        for row in &next {
            let (room, seq): (String, i64) = (column(row, "room_id")?, column(row, "seq")?);
            self.cursors.entry(room.clone()).or_default().0 = seq;
            documents.insert((room, seq), words(row)?);
        }
        for row in &changed {
            let (room, seq): (String, i64) = (column(row, "room_id")?, column(row, "seq")?);
            self.cursors.entry(room.clone()).or_default().1 = column(row, "revision")?;
            documents.insert((room, seq), words(row)?);
        }
        if !documents.is_empty() {
            self.write(documents).await?;
        }
        Ok(next.len() + changed.len() + skipped)
    }

    /// Reads the rows after the cursors.
    async fn next(
        &mut self,
        sql: &'static str,
        place: impl Fn(&(i64, i64)) -> i64,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let rooms: Vec<_> = self.cursors.keys().cloned().collect();
        let places: Vec<_> = self.cursors.values().map(place).collect();
        let query = sqlx::query(sql).bind(rooms).bind(places).bind(self.limit);
        self.session.fetch(query).await
    }

    async fn write(
        &mut self,
        documents: BTreeMap<(String, i64), String>,
    ) -> Result<(), sqlx::Error> {
        let (places, words): (Vec<_>, Vec<_>) = documents.into_iter().unzip();
        let (rooms, seqs): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        for sql in [ERASE, WRITE] {
            let query = sqlx::query(sql).bind(&rooms).bind(&seqs).bind(&words);
            self.session.fetch(query).await?;
        }
        let rooms: Vec<_> = self.cursors.keys().cloned().collect();
        let (seqs, revisions): (Vec<_>, Vec<_>) = self.cursors.values().copied().unzip();
        let query = sqlx::query(MOVE).bind(rooms).bind(seqs).bind(revisions);
        self.session.fetch(query).await.map(drop)
    }
}

fn column<'r, T>(row: &'r PgRow, name: &'static str) -> Result<T, sqlx::Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::Row::try_get(row, name)
}

fn words(row: &PgRow) -> Result<String, sqlx::Error> {
    Ok(Words::of(column(row, "message")?).joined())
}
