//! One suite for the changes of all stores.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::Utc;
use futures_util::future::join_all;
use parlor::{
    model::{
        Action, Body, Change, Changed, Committed, Draft, Edit, Message, Reaction, Refusal,
        Revision, RoomId, Seq, State,
    },
    store::{Keep, MessageStore, Page},
};
use sqlx::{AssertSqlSafe, Row};

use crate::support::{Database, conformance};

conformance!(
    an_edit_gives_the_message_its_new_text_everywhere,
    an_edit_of_a_known_revision_loses_against_a_later_one,
    only_authors_edit_and_only_for_a_while,
    a_deletion_leaves_nothing_of_the_message_and_is_final,
    reactions_are_states_and_are_counted,
    at_most_twenty_kinds_and_twenty_names,
    pins_are_bounded_and_belong_to_operators,
    a_reply_needs_its_message,
    replies_are_read_by_pages,
    changes_are_numbered_and_read_in_order,
    a_batch_has_messages_before_changes,
    a_batch_committed_again_changes_nothing,
    a_thousand_equal_reactions_at_once_are_one_row_and_one_revision,
    races_of_edits_and_deletions_leave_no_trace_of_a_text,
);

fn room(name: &str) -> RoomId {
    name.try_into().unwrap()
}

fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

fn body(text: &str) -> Body {
    Body::parse(text, 8_192).unwrap()
}

fn draft(user: &str, text: &str) -> Draft {
    Draft::new(room("r"), user.try_into().unwrap(), None, body(text), None)
}

fn change(user: &str, number: i64, action: Action) -> Change {
    Change::new(
        room("r"),
        seq(number),
        user.try_into().unwrap(),
        user.starts_with("op"),
        action,
    )
}

fn edit(text: &str) -> Action {
    Action::Edit(Edit {
        body: body(text),
        metadata: None,
        if_revision: None,
        sent_since: None,
    })
}

fn reaction(text: &str) -> Reaction {
    text.to_owned().try_into().unwrap()
}

fn react(text: &str, on: bool) -> Action {
    let reaction = reaction(text);
    Action::React { reaction, on }
}

async fn send(store: &Arc<dyn MessageStore>, drafts: &[Draft]) -> Committed {
    store.commit(drafts, &[]).await.unwrap()
}

async fn settle(
    store: &Arc<dyn MessageStore>,
    changes: &[Change],
) -> Vec<Result<Changed<Arc<Message>>, Refusal>> {
    store.commit(&[], changes).await.unwrap().changes
}

/// Makes one change, which must be accepted.
async fn make(store: &Arc<dyn MessageStore>, change: Change) -> Changed<Arc<Message>> {
    settle(store, &[change]).await.remove(0).unwrap()
}

/// Makes one change, which must be refused.
async fn refused(store: &Arc<dyn MessageStore>, change: Change) -> Refusal {
    settle(store, &[change]).await.remove(0).unwrap_err()
}

const ALL: Page = Page {
    after: Seq::ZERO,
    before: Seq::END,
    limit: 100_000,
    keep: Keep::Oldest,
};

async fn log(store: &Arc<dyn MessageStore>) -> Vec<Message> {
    let log = store.read(&room("r"), ALL).await.unwrap();
    let newest = Page {
        keep: Keep::Newest,
        ..ALL
    };
    assert_eq!(store.read(&room("r"), newest).await.unwrap(), log);
    let places = [(room("r"), Seq::ZERO)];
    assert_eq!(store.read_tails(&places, 2_048).await.unwrap(), log);
    log
}

async fn changes(store: &Arc<dyn MessageStore>, after: i64, limit: usize) -> Vec<Message> {
    let after = Revision::try_from(after).unwrap();
    store.read_changes(&room("r"), after, limit).await.unwrap()
}

fn state(message: &Message) -> State {
    message.state.as_deref().cloned().unwrap_or_default()
}

fn revisions(messages: &[Message]) -> Vec<i64> {
    let revisions = messages.iter().map(|message| message.revision().get());
    revisions.collect()
}

async fn an_edit_gives_the_message_its_new_text_everywhere(database: Database) {
    let store = database.store().await;
    send(&store, &[draft("ann", "first"), draft("bob", "second")]).await;
    let edited = make(&store, change("ann", 1, edit("better"))).await;
    assert!(edited.changed);
    assert_eq!(edited.message.body.as_str(), "better");
    assert_eq!(edited.message.revision().get(), 1);
    assert!(state(&edited.message).edited_at.is_some());
    let read = log(&store).await;
    assert_eq!(read[0], *edited.message);
    assert_eq!(read[1].state, None);
    assert_eq!(changes(&store, 0, 10).await, [read[0].clone()]);
    let again = make(&store, change("ann", 1, edit("better"))).await;
    assert_eq!((again.changed, &again.message), (false, &edited.message));
    let metadata = serde_json::from_str(r#"{"a":1}"#).unwrap();
    let Action::Edit(mut with_metadata) = edit("better") else {
        unreachable!("an edit");
    };
    with_metadata.metadata = Some(metadata);
    let edited = make(
        &store,
        change("ann", 1, Action::Edit(with_metadata.clone())),
    )
    .await;
    assert_eq!(state(&edited.message).metadata, with_metadata.metadata);
    let kept = make(&store, change("ann", 1, edit("best"))).await;
    assert_eq!(state(&kept.message).metadata, with_metadata.metadata);
    with_metadata.metadata = Some(serde_json::from_str("{}").unwrap());
    let removed = make(&store, change("ann", 1, Action::Edit(with_metadata))).await;
    assert_eq!(state(&removed.message).metadata, None);
    assert_eq!(revisions(&log(&store).await), [4, 0]);
}

async fn an_edit_of_a_known_revision_loses_against_a_later_one(database: Database) {
    let store = database.store().await;
    send(&store, &[draft("ann", "first")]).await;
    let at = |text: &str, revision: i64| {
        change(
            "ann",
            1,
            Action::Edit(Edit {
                body: body(text),
                metadata: None,
                if_revision: Some(revision.try_into().unwrap()),
                sent_since: None,
            }),
        )
    };
    let settled = settle(&store, &[at("one", 0), at("two", 0), at("three", 1)]).await;
    let [Ok(one), Err(Refusal::Conflict(two)), Ok(three)] = &settled[..] else {
        panic!("{settled:?}");
    };
    assert!(one.changed && three.changed);
    assert_eq!(two.body.as_str(), "three");
    assert_eq!(log(&store).await, [(*three.message).clone()]);
}

async fn only_authors_edit_and_only_for_a_while(database: Database) {
    let store = database.store().await;
    send(&store, &[draft("ann", "first")]).await;
    for other in ["bob", "operator"] {
        let refusal = refused(&store, change(other, 1, edit("mine"))).await;
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    }
    let since = |since| {
        let mut edit = Edit {
            body: body("late"),
            metadata: None,
            if_revision: None,
            sent_since: Some(since),
        };
        edit.body = body("late");
        change("ann", 1, Action::Edit(edit))
    };
    let late = since(Utc::now() + Duration::from_secs(1));
    assert!(matches!(refused(&store, late).await, Refusal::Forbidden(_)));
    assert!(
        make(&store, since(Utc::now() - Duration::from_secs(60)))
            .await
            .changed
    );
    for missing in [0, 2, i64::MAX] {
        let refusal = refused(&store, change("ann", missing, edit("nothing"))).await;
        assert!(matches!(refusal, Refusal::NotFound(_)), "{refusal:?}");
    }
    assert_eq!(revisions(&log(&store).await), [1]);
}

/// Fails when a text is in any column of any table.
async fn assert_no_trace(database: &Database, text: &str) {
    let dump = if database.url().starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(database.url()).await.unwrap();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let mut found = vec![];
        for table in sqlx::query(tables).fetch_all(&pool).await.unwrap() {
            let table: String = table.get(0);
            let columns = format!("SELECT name FROM pragma_table_info('{table}')");
            let columns = sqlx::query(AssertSqlSafe(columns))
                .fetch_all(&pool)
                .await
                .unwrap();
            for column in columns {
                let column: String = column.get(0);
                let looking = format!(
                    r#"SELECT count(*) FROM "{table}" WHERE instr(CAST("{column}" AS TEXT), ?1)"#
                );
                let looking = sqlx::query_scalar::<_, i64>(AssertSqlSafe(looking)).bind(text);
                if looking.fetch_one(&pool).await.unwrap() > 0 {
                    found.push(format!("{table}.{column}"));
                }
            }
        }
        found
    } else {
        let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
        let tables = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables \
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
        let mut found = vec![];
        for table in sqlx::query(tables).fetch_all(&pool).await.unwrap() {
            let table: String = table.get(0);
            let looking =
                format!("SELECT count(*) FROM {table} AS t WHERE position($1 IN t::text) > 0");
            let looking = sqlx::query_scalar::<_, i64>(AssertSqlSafe(looking)).bind(text);
            if looking.fetch_one(&pool).await.unwrap() > 0 {
                found.push(table);
            }
        }
        found
    };
    assert_eq!(dump, [""; 0], "{text}");
}

async fn a_deletion_leaves_nothing_of_the_message_and_is_final(database: Database) {
    let store = database.store().await;
    let mut secret = draft("ann", "a secret text");
    secret.metadata = Some(serde_json::from_str(r#"{"a":"secret data"}"#).unwrap());
    let mut reply = draft("bob", "why");
    reply.reply_to = Some(seq(1));
    send(&store, &[secret]).await;
    send(&store, &[reply]).await;
    make(&store, change("bob", 1, react("secret-smile", true))).await;
    make(&store, change("ann", 1, Action::Pin { on: true })).await;
    let refusal = refused(&store, change("bob", 1, Action::Delete)).await;
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    make(&store, change("ann", 1, edit("another secret"))).await;
    let deleted = make(&store, change("operator", 1, Action::Delete)).await;
    let (message, left) = (&deleted.message, state(&deleted.message));
    assert_eq!(
        (message.body.as_str(), message.user_id.as_str()),
        ("", "ann")
    );
    assert_eq!(
        left,
        State {
            revision: 4.try_into().unwrap(),
            deleted_at: left.deleted_at,
            ..State::default()
        }
    );
    assert!(left.deleted_at.is_some());
    assert_no_trace(&database, "secret").await;
    let again = make(&store, change("ann", 1, Action::Delete)).await;
    assert_eq!((again.changed, &again.message), (false, message));
    let pin = Action::Pin { on: true };
    for action in [
        edit("back"),
        react("again", true),
        react("again", false),
        pin,
    ] {
        let refusal = refused(&store, change("ann", 1, action)).await;
        assert_eq!(refusal, Refusal::Conflict(message.clone()));
    }
    make(&store, change("bob", 2, Action::Delete)).await;
    assert_eq!(log(&store).await[1].reply_to(), Some(seq(1)));
}

async fn reactions_are_states_and_are_counted(database: Database) {
    let store = database.store().await;
    send(&store, &[draft("ann", "first")]).await;
    let set = [
        change("bob", 1, react("👍", true)),
        change("ann", 1, react("👍", true)),
        change("bob", 1, react("👍", true)),
        change("bob", 1, react("🎉", true)),
        change("cid", 1, react("🎉", false)),
        change("dot", 1, react("x", true)),
        change("dot", 1, react("x", false)),
    ];
    let settled = settle(&store, &set).await;
    let changed: Vec<_> = settled
        .iter()
        .map(|answer| answer.as_ref().unwrap().changed)
        .collect();
    assert_eq!(changed, [true, true, false, true, false, true, true]);
    let shown = |message: &Message| -> Vec<(String, u64, Vec<String>)> {
        let reactions = state(message).reactions.into_iter();
        reactions
            .map(|kind| {
                let users = kind.user_ids.iter().map(|user| user.to_string());
                (
                    kind.reaction.as_str().to_owned(),
                    kind.count,
                    users.collect(),
                )
            })
            .collect()
    };
    let kind = |reaction: &str, users: &[&str]| {
        let names = users.iter().map(|user| (*user).to_owned()).collect();
        (reaction.to_owned(), users.len() as u64, names)
    };
    assert_eq!(
        shown(&log(&store).await[0]),
        [kind("👍", &["ann", "bob"]), kind("🎉", &["bob"])]
    );
    make(&store, change("ann", 1, react("👍", false))).await;
    make(&store, change("bob", 1, react("🎉", false))).await;
    assert_eq!(shown(&log(&store).await[0]), [kind("👍", &["bob"])]);
    assert_eq!(revisions(&log(&store).await), [7]);
}

async fn at_most_twenty_kinds_and_twenty_names(database: Database) {
    let store = database.store().await;
    send(&store, &[draft("ann", "first")]).await;
    let kinds: Vec<_> = (0..21)
        .map(|kind| change("ann", 1, react(&kind.to_string(), true)))
        .collect();
    let settled = settle(&store, &kinds).await;
    assert!(settled[..20].iter().all(Result::is_ok));
    assert!(matches!(settled[20], Err(Refusal::Forbidden(_))));
    let crowd: Vec<_> = (0..30)
        .map(|user| change(&format!("user {user:02}"), 1, react("0", true)))
        .collect();
    settle(&store, &crowd).await;
    let first = state(&log(&store).await[0]).reactions.remove(0);
    assert_eq!(first.count, 31);
    let names: Vec<_> = first.user_ids.iter().map(|user| user.to_string()).collect();
    let mut expected = vec!["ann".to_owned()];
    expected.extend((0..19).map(|user| format!("user {user:02}")));
    assert_eq!(names, expected);
    make(&store, change("ann", 1, react("0", false))).await;
    let first = state(&log(&store).await[0]).reactions.remove(0);
    assert_eq!((first.count, first.user_ids.len()), (30, 20));
    assert_eq!(first.user_ids[19].as_str(), "user 19");
}

async fn pins_are_bounded_and_belong_to_operators(database: Database) {
    let store = database.store().await;
    let drafts: Vec<_> = (0..52)
        .map(|number| draft("ann", &number.to_string()))
        .collect();
    send(&store, &drafts).await;
    let pin = |user: &str, number, on| change(user, number, Action::Pin { on });
    let pins: Vec<_> = (1..=51).map(|number| pin("ann", number, true)).collect();
    let settled = settle(&store, &pins).await;
    assert!(settled[..50].iter().all(Result::is_ok));
    assert!(matches!(settled[50], Err(Refusal::Forbidden(_))));
    make(&store, pin("bob", 1, false)).await;
    assert!(make(&store, pin("bob", 51, true)).await.changed);
    assert!(!make(&store, pin("bob", 51, true)).await.changed);
    make(&store, change("ann", 2, Action::Delete)).await;
    assert!(make(&store, pin("bob", 52, true)).await.changed);
    let mut by_operator = draft("operator", "hello");
    by_operator.operator_id = Some("operator".try_into().unwrap());
    send(&store, &[by_operator]).await;
    let refusal = refused(&store, pin("ann", 3, false)).await;
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
    assert!(make(&store, pin("operator", 3, false)).await.changed);
}

async fn a_reply_needs_its_message(database: Database) {
    let store = database.store().await;
    let reply = |to| {
        let mut reply = draft("bob", "a reply");
        reply.reply_to = Some(seq(to));
        reply
    };
    let refused = send(&store, &[reply(1)]).await;
    assert!(matches!(refused.messages[..], [Err(Refusal::NotFound(_))]));
    send(&store, &[draft("ann", "first")]).await;
    let sent = send(
        &store,
        &[reply(1), reply(9), draft("bob", "plain"), reply(0)],
    )
    .await;
    let [
        Ok(reply),
        Err(Refusal::NotFound(_)),
        Ok(plain),
        Err(Refusal::NotFound(_)),
    ] = &sent.messages[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(reply.message.reply_to(), Some(seq(1)));
    assert_eq!((reply.message.seq, plain.message.seq), (seq(2), seq(3)));
    let log = log(&store).await;
    assert_eq!(
        log[1..],
        [(*reply.message).clone(), (*plain.message).clone()]
    );
    assert_eq!(revisions(&log), [0, 0, 0]);
}

async fn replies_are_read_by_pages(database: Database) {
    let store = database.store().await;
    send(&store, &[draft("ann", "first"), draft("ann", "other")]).await;
    for number in 0..6 {
        let mut reply = draft("bob", "a reply");
        reply.reply_to = Some(seq(1 + number % 2));
        send(&store, &[reply]).await;
    }
    let read = async |page: Page| {
        let read = store.read_replies(&room("r"), seq(1), page).await.unwrap();
        read.iter()
            .map(|message| message.seq.get())
            .collect::<Vec<_>>()
    };
    assert_eq!(read(ALL).await, [3, 5, 7]);
    let newest = Page {
        limit: 2,
        keep: Keep::Newest,
        ..ALL
    };
    assert_eq!(read(newest).await, [5, 7]);
    let after = Page {
        after: seq(3),
        before: seq(7),
        ..ALL
    };
    assert_eq!(read(after).await, [5]);
}

async fn changes_are_numbered_and_read_in_order(database: Database) {
    let stores = [database.store().await, database.store().await];
    let drafts: Vec<_> = (0..40).map(|_| draft("ann", "text")).collect();
    send(&stores[0], &drafts).await;
    let writers = (0..8_i64).map(|writer| {
        let store = &stores[writer as usize % 2];
        async move {
            let mut ranges = vec![];
            for round in 0..10 {
                let texts = (1..=5).map(|place| {
                    let number = (writer * 5 + place + round) % 40 + 1;
                    change("ann", number, edit(&format!("{writer} {round} {place}")))
                });
                let texts: Vec<_> = texts.collect();
                let committed = loop {
                    match store.commit(&[], &texts).await {
                        Ok(committed) => break committed,
                        Err(error) => println!("{error}"),
                    }
                };
                let revised = &committed.rooms[0];
                let last = revised.last(|message| message.revision());
                ranges.push((revised.base.get(), last.get()));
            }
            ranges
        }
    });
    let mut ranges: Vec<_> = join_all(writers).await.into_iter().flatten().collect();
    ranges.sort_unstable();
    let mut last = 0;
    for (base, end) in ranges {
        assert_eq!(base, last, "each commit follows another");
        last = end;
    }
    assert_eq!(last, 400);
    let read = changes(&stores[0], 0, 100).await;
    assert_eq!(read.len(), 40);
    assert!(read.is_sorted_by_key(Message::revision));
    assert_eq!(read.last().unwrap().revision().get(), 400);
    let after = read[20].revision().get();
    assert_eq!(changes(&stores[1], after, 5).await, read[21..26]);
    let heads = stores[0].heads(&[room("r"), room("none")]).await.unwrap();
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[&room("r")].revision.get(), 400);
    assert_eq!(heads[&room("r")].seq, seq(40));
}

async fn a_batch_has_messages_before_changes(database: Database) {
    let store = database.store().await;
    let drafts = [draft("ann", "first"), draft("ann", "second")];
    let changes = [
        change("ann", 2, edit("better")),
        change("bob", 3, edit("none")),
    ];
    let committed = store.commit(&drafts, &changes).await.unwrap();
    assert!(committed.messages.iter().all(Result::is_ok));
    assert!(committed.changes[0].as_ref().unwrap().changed);
    assert!(matches!(committed.changes[1], Err(Refusal::NotFound(_))));
    let texts: Vec<_> = log(&store)
        .await
        .iter()
        .map(|message| message.body.as_str().to_owned())
        .collect();
    assert_eq!(texts, ["first", "better"]);
}

async fn a_batch_committed_again_changes_nothing(database: Database) {
    let store = database.store().await;
    let mut reply = draft("bob", "a reply");
    reply.client_message_id = Some("named".try_into().unwrap());
    reply.metadata = Some(serde_json::from_str(r#"{"a":1}"#).unwrap());
    let drafts = [draft("ann", "first"), reply];
    let known = Edit {
        body: body("better"),
        metadata: None,
        if_revision: Some(Revision::ZERO),
        sent_since: None,
    };
    let changes = [
        change("ann", 1, Action::Edit(known)),
        change("bob", 2, react("👍", true)),
    ];
    let first = store.commit(&drafts, &changes).await.unwrap();
    let before = log(&store).await;
    let again = store.commit(&drafts, &changes).await.unwrap();
    assert_eq!(log(&store).await, before);
    assert_eq!(revisions(&before), [1, 2]);
    for (first, again) in first.changes.iter().zip(&again.changes) {
        let (first, again) = (first.as_ref().unwrap(), again.as_ref().unwrap());
        assert_eq!((first.changed, again.changed), (true, true));
        assert_eq!(first.message, again.message);
    }
    for answer in &again.messages {
        assert!(!answer.as_ref().unwrap().duplicate);
    }
    assert_eq!(again.rooms[0].base.get(), 2);
    assert_eq!(again.rooms[0].messages, []);
}

async fn a_thousand_equal_reactions_at_once_are_one_row_and_one_revision(database: Database) {
    let stores = [database.store().await, database.store().await];
    send(&stores[0], &[draft("ann", "first")]).await;
    let batches = (0..20).map(|batch| {
        let store = &stores[batch % 2];
        async move {
            let equal: Vec<_> = (0..50)
                .map(|_| change("bob", 1, react("👍", true)))
                .collect();
            settle(store, &equal).await
        }
    });
    let answers = join_all(batches).await.into_iter().flatten();
    let changed = answers.filter(|answer| answer.as_ref().unwrap().changed);
    assert_eq!(changed.count(), 1);
    let message = &log(&stores[0]).await[0];
    assert_eq!(message.revision().get(), 1);
    assert_eq!(state(message).reactions[0].count, 1);
}

/// The races of a run, unless `CHANGES_RACES` says otherwise.
const RACES: i64 = 300;

fn races() -> i64 {
    let races = std::env::var("CHANGES_RACES");
    races.map_or(RACES, |races| races.parse().unwrap())
}

async fn races_of_edits_and_deletions_leave_no_trace_of_a_text(database: Database) {
    let stores = [database.store().await, database.store().await];
    let count = races();
    let drafts: Vec<_> = (0..count).map(|_| draft("ann", "a secret")).collect();
    send(&stores[0], &drafts).await;
    let race = |number: i64| {
        let (editor, deleter) = (
            &stores[number as usize % 2],
            &stores[(number as usize + 1) % 2],
        );
        async move {
            let edit = [change("ann", number, edit("another secret"))];
            let deletion = [change("ann", number, Action::Delete)];
            let (editing, deleting) = (settle(editor, &edit), settle(deleter, &deletion));
            let (edited, deleted) = tokio::join!(editing, deleting);
            assert!(deleted[0].as_ref().unwrap().changed);
            edited[0].is_ok()
        }
    };
    let numbers: Vec<_> = (1..=count).collect();
    let mut edited = 0;
    for numbers in numbers.chunks(20) {
        let races = join_all(numbers.iter().map(|number| race(*number))).await;
        edited += races.iter().filter(|edited| **edited).count();
    }
    println!("{edited} of {count} edits came first");
    assert_no_trace(&database, "secret").await;
    let log = stores[0].read(&room("r"), ALL).await.unwrap();
    assert!(
        log.iter()
            .all(|message| message.is_deleted() && message.body.as_str().is_empty())
    );
    let revisions: BTreeSet<_> = log.iter().map(Message::revision).collect();
    assert_eq!(revisions.len(), count as usize);
}
