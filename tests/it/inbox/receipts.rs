//! The bounds of receipts: statements and packets.

use std::{collections::HashMap, time::Instant};

use futures_util::future::join_all;
use parlor::testing::{
    inbox::FLUSH_INTERVAL,
    room::{MAX_TOLD, READS_INTERVAL},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Database, FLOODED, RawClient, Server, raw::Packet};

const MESSAGES: i64 = 300;

/// Notes each statement that writes memberships.
const NOTE_STATEMENTS: &str = "
CREATE TABLE flushes (rows bigint);
CREATE FUNCTION note_flush() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO flushes SELECT count(*) FROM written;
    RETURN NULL;
END $$;
CREATE TRIGGER note_flush AFTER INSERT ON memberships REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION note_flush()";

/// A member that marks every message as read, and counts what it is told.
struct Member {
    client: RawClient,
    /// Packets with reads of others.
    of_others: usize,
    of_own: usize,
    last: i64,
}

impl Member {
    async fn join(server: &Server, user: String) -> Self {
        let mut client = server.raw(&user).await;
        let joined = json!({ "roomId": "r", "lastRevision": 0 });
        assert_eq!(client.call("joinRoom", joined).await["status"], "ok");
        Self {
            client,
            of_others: 0,
            of_own: 0,
            last: 0,
        }
    }

    /// Marks all messages, in an order of its own, and takes in packets until all marks are acked.
    async fn mark_all(&mut self, user: &str) {
        let (mut left, mut marks) = (MESSAGES, HashMap::new());
        for number in 0..MESSAGES {
            // Nearly in order: some come late.
            let seq = if number % 7 == 3 {
                number / 2 + 1
            } else {
                number + 1
            };
            let mark = json!({ "roomId": "r", "seq": seq });
            marks.insert(self.client.emit("markRead", &mark).await, seq);
        }
        self.client.flush().await;
        while left > 0 {
            match self.client.packet().await {
                Packet::Ack(id, answer) => {
                    let read = answer["readSeq"].as_i64();
                    let read = read.unwrap_or_else(|| panic!("{answer}"));
                    let asked = marks[&id];
                    assert!(read >= asked, "{user}: {read}, asked for {asked}");
                    left -= 1;
                }
                Packet::Event(event, payload) => self.take(user, &event, &payload),
                Packet::Other(frame) => panic!("{user}: {frame}"),
            }
        }
    }

    fn take(&mut self, user: &str, event: &str, payload: &Value) {
        if event == "read" {
            let reads = payload["reads"].as_array().unwrap();
            if reads.len() == 1 && reads[0]["userId"] == user {
                let read = reads[0]["seq"].as_i64().unwrap();
                assert!(read > self.last, "{user}: {read} after {}", self.last);
                (self.of_own, self.last) = (self.of_own + 1, read);
            } else {
                self.of_others += 1;
            }
        }
    }
}

/// Lets all members mark all messages at once. Returns the packets with others' reads to the member
/// that got most, and the most that the time allows.
async fn all_mark(members: usize) -> (usize, usize) {
    let server = Server::on(Database::postgres().await, &[FLOODED]).await;
    let mut database = PgConnection::connect(server.database.url()).await.unwrap();
    let mut ann = server.raw("ann").await;
    ann.call("joinRoom", json!({ "roomId": "r" })).await;
    for number in 0..MESSAGES {
        let send = json!({ "roomId": "r", "message": number.to_string() });
        ann.call("sendMessage", send).await;
    }
    drop(ann);
    sqlx::raw_sql(NOTE_STATEMENTS)
        .execute(&mut database)
        .await
        .unwrap();
    let joining = (0..members).map(|number| Member::join(&server, number.to_string()));
    let mut joined = join_all(joining).await;
    let begun = Instant::now();
    let marking = joined.iter_mut().enumerate();
    join_all(marking.map(async |(number, member)| member.mark_all(&number.to_string()).await))
        .await;
    let took = begun.elapsed();
    let count = "SELECT count(*), coalesce(max(rows), 0) FROM flushes";
    let (statements, rows): (i64, i64) = sqlx::query_as(count)
        .fetch_one(&mut database)
        .await
        .unwrap();
    let most_statements = took.as_millis() / FLUSH_INTERVAL.as_millis() + 2;
    assert!(
        u128::try_from(statements).unwrap() <= most_statements && rows <= 2_048,
        "{statements} statements of up to {rows} rows in {took:?}"
    );
    let positions = "SELECT count(*) FROM memberships WHERE read_seq = $1 AND user_id <> 'ann'";
    let positions = sqlx::query_scalar::<_, i64>(positions).bind(MESSAGES);
    let positions = positions.fetch_one(&mut database).await.unwrap();
    assert_eq!(usize::try_from(positions).unwrap(), members);
    for member in &joined {
        assert!(
            u128::try_from(member.of_own).unwrap() <= most_statements,
            "{}",
            member.of_own
        );
    }
    let told = joined.iter().map(|member| member.of_others).max().unwrap();
    println!("{members} members: {statements} statements, {told} packets in {took:?}");
    let most = took.as_millis() / READS_INTERVAL.as_millis() + 2;
    (told, usize::try_from(most).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_small_room_are_told_once_a_second() {
    let (told, most) = all_mark(MAX_TOLD / 2).await;
    assert!((1..=most).contains(&told), "{told} packets, at most {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_large_room_are_told_to_their_own_users_alone() {
    assert_eq!(all_mark(300).await.0, 0);
}
