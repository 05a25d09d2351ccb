//! The bounds of receipts: statements and packets.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use futures_util::future::join_all;
use parlor::testing::{
    inbox::FLUSH_INTERVAL,
    room::{MAX_TOLD, READS_INTERVAL},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Database, FLOODED, RawClient, Server, raw::Packet};

const MESSAGES: i64 = 300;
/// The marks of a member that wait at once.
const AT_ONCE: i64 = 100;

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
    user: String,
    /// Packets with reads of others.
    of_others: usize,
    /// Packets with the member's own position.
    of_own: usize,
    /// The last position told.
    last: i64,
}

impl Member {
    async fn join(server: &Server, user: String) -> Self {
        let mut client = server.raw(&user).await;
        let joined = json!({ "roomId": "r", "lastRevision": 0 });
        assert_eq!(client.call("joinRoom", joined).await["status"], "ok");
        Self {
            client,
            user,
            of_others: 0,
            of_own: 0,
            last: 0,
        }
    }

    /// Marks all messages, nearly in order.
    async fn mark_all(&mut self) {
        for first in (0..MESSAGES).step_by(AT_ONCE as usize) {
            self.mark(first..first + AT_ONCE).await;
        }
    }

    /// Marks some messages at once, and takes in packets until all marks are acked.
    async fn mark(&mut self, numbers: std::ops::Range<i64>) {
        let mut marks = HashMap::new();
        for number in numbers {
            let is_late = number % 7 == 3;
            let seq = if is_late { number / 2 + 1 } else { number + 1 };
            let mark = json!({ "roomId": "r", "seq": seq });
            marks.insert(self.client.emit("markRead", &mark).await, seq);
        }
        self.client.flush().await;
        while !marks.is_empty() {
            match self.client.packet().await {
                Packet::Ack(id, answer) => {
                    let read = answer["readSeq"].as_i64();
                    let read = read.unwrap_or_else(|| panic!("{}: {answer}", self.user));
                    let asked = marks.remove(&id).unwrap();
                    assert!(read >= asked, "{}: {read}, asked for {asked}", self.user);
                }
                Packet::Event(event, payload) => self.take(&event, &payload),
                Packet::Other(frame) => panic!("{}: {frame}", self.user),
            }
        }
    }

    fn take(&mut self, event: &str, payload: &Value) {
        if event != "read" {
            return;
        }
        let reads = payload["reads"].as_array().unwrap();
        if reads.len() == 1 && reads[0]["userId"] == self.user.as_str() {
            let read = reads[0]["seq"].as_i64().unwrap();
            assert!(
                read >= self.last,
                "{}: {read} after {}",
                self.user,
                self.last
            );
            (self.of_own, self.last) = (self.of_own + 1, read);
        } else {
            self.of_others += 1;
        }
    }
}

/// Lets all members mark all messages at once, and checks the statements. Returns the members and a
/// listener, with the time of the beginning.
async fn all_mark(server: &Server, members: usize) -> (Vec<Member>, RawClient, Instant) {
    let mut database = PgConnection::connect(server.database.url()).await.unwrap();
    let mut ann = server.raw("ann").await;
    ann.call("joinRoom", json!({ "roomId": "r" })).await;
    for number in 0..MESSAGES {
        let send = json!({ "roomId": "r", "message": number.to_string() });
        ann.call("sendMessage", send).await;
    }
    let noting = sqlx::raw_sql(NOTE_STATEMENTS).execute(&mut database);
    noting.await.unwrap();
    let joining = (0..members).map(|number| Member::join(server, number.to_string()));
    let mut joined = join_all(joining).await;
    let begun = Instant::now();
    join_all(joined.iter_mut().map(Member::mark_all)).await;
    let took = begun.elapsed();
    let count = "SELECT count(*), coalesce(max(rows), 0) FROM flushes";
    let counted = sqlx::query_as(count).fetch_one(&mut database).await;
    let (statements, rows): (i64, i64) = counted.unwrap();
    let most = took.as_millis() / FLUSH_INTERVAL.as_millis() + 2;
    println!("{members} members: {statements} statements of up to {rows} rows in {took:?}");
    assert!(u128::try_from(statements).unwrap() <= most && rows <= 2_048);
    let positions = "SELECT count(*) FROM memberships WHERE read_seq = $1 AND user_id <> 'ann'";
    let positions = sqlx::query_scalar::<_, i64>(positions).bind(MESSAGES);
    let positions = positions.fetch_one(&mut database).await.unwrap();
    assert_eq!(usize::try_from(positions).unwrap(), members);
    for member in &joined {
        // A small room may be told of one reader alone, besides the reader itself.
        let told = u128::try_from(member.of_own).unwrap();
        assert!(told <= 2 * most, "{}: {told}", member.user);
    }
    (joined, ann, begun)
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_small_room_are_told_once_a_second() {
    let server = Server::on(Database::postgres().await, &[FLOODED]).await;
    let (members, mut ann, begun) = all_mark(&server, MAX_TOLD / 2).await;
    let (mut packets, mut done) = (0, HashSet::new());
    while done.len() < members.len() {
        let told = ann.next("read").await;
        packets += 1;
        for read in told["reads"].as_array().unwrap() {
            if read["seq"] == MESSAGES {
                done.insert(read["userId"].as_str().unwrap().to_owned());
            }
        }
    }
    let most = begun.elapsed().as_millis() / READS_INTERVAL.as_millis() + 2;
    println!("{packets} packets in {:?}", begun.elapsed());
    assert!(packets <= most, "{packets} packets, at most {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_large_room_are_told_to_their_own_users_alone() {
    let server = Server::on(Database::postgres().await, &[FLOODED]).await;
    let (members, mut ann, _) = all_mark(&server, 300).await;
    assert!(members.iter().all(|member| member.of_others == 0));
    let send = json!({ "roomId": "r", "message": "the last one" });
    let id = ann.emit("sendMessage", &send).await;
    ann.flush().await;
    let (before, _) = ann.until_ack(id).await;
    let reads = before
        .iter()
        .filter(|packet| matches!(packet, Packet::Event(event, _) if event == "read"));
    assert_eq!(reads.count(), 0);
}
