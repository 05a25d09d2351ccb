//! One suite for the memberships of all stores.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use parlor::{
    model::{Body, Draft, MAX_FOLLOWED, Mark, Marked, Read, RoomId, Seq, UserId},
    store::{ListPlace, MessageStore},
};

use crate::support::{Database, conformance};

conformance!(
    a_position_never_goes_back_and_never_passes_the_last_message,
    a_first_mark_follows_a_room_and_a_later_one_does_not,
    a_room_is_followed_muted_and_followed_no_longer,
    a_user_follows_a_thousand_rooms_and_no_more,
    the_list_has_the_latest_activity_first_page_by_page,
    own_messages_count_as_read,
    the_ends_of_rooms_come_with_their_authors,
    marks_of_many_stores_at_once_keep_the_furthest_position,
);

type Store = Arc<dyn MessageStore>;

fn room(name: impl ToString) -> RoomId {
    name.to_string().as_str().try_into().unwrap()
}

fn user(name: &str) -> UserId {
    name.try_into().unwrap()
}

fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

fn mark(name: &str, reader: &str, number: i64) -> Mark {
    Mark {
        room_id: room(name),
        user_id: user(reader),
        seq: seq(number),
    }
}

async fn say(store: &Store, name: impl ToString, author: &str, count: usize) {
    let body = || Body::parse("hello", 100).unwrap();
    let draft = || Draft::new(room(name.to_string()), user(author), None, body(), None);
    let drafts: Vec<_> = (0..count).map(|_| draft()).collect();
    store.append(&drafts).await.unwrap();
}

/// Stores one mark of a room with messages.
async fn marked(store: &Store, mark: Mark) -> Marked {
    let mut marked = store.memberships().mark(&[mark]).await.unwrap();
    assert_eq!(marked.len(), 1, "{marked:?}");
    marked.remove(0)
}

/// Returns the rooms of a user's whole list, read by pages, with position and end.
async fn listed(store: &Store, reader: &str, limit: usize) -> Vec<(String, i64, i64)> {
    let (mut rooms, mut after) = (vec![], None);
    loop {
        let (reader, place) = (user(reader), after.as_ref());
        let page = store
            .memberships()
            .list(&reader, place, limit)
            .await
            .unwrap();
        rooms.extend(page.iter().map(|room| {
            let name = room.room_id.as_str().to_owned();
            (name, room.read_seq.get(), room.last_seq.get())
        }));
        let Some(last) = page.last().filter(|_| page.len() == limit) else {
            return rooms;
        };
        after = Some(ListPlace {
            active_at: last.active_at,
            room_id: last.room_id.clone(),
        });
    }
}

async fn a_position_never_goes_back_and_never_passes_the_last_message(database: Database) {
    let store = database.store().await;
    say(&store, "r", "ann", 5).await;
    for (wanted, position, moved) in [
        (3, 3, true),
        (2, 3, false),
        (3, 3, false),
        (99, 5, true),
        (6, 5, false),
    ] {
        let marked = marked(&store, mark("r", "bob", wanted)).await;
        assert_eq!(
            (marked.mark, marked.moved),
            (mark("r", "bob", position), moved)
        );
    }
    let none = store.memberships().mark(&[mark("empty", "bob", 1)]).await;
    assert_eq!(none.unwrap(), [], "a room without messages");
    let asked = ["bob", "cleo"].map(|name| (room("r"), user(name)));
    let positions = store.memberships().positions(&asked).await.unwrap();
    assert_eq!(positions, [(asked[0].clone(), seq(5))].into());
    marked(&store, mark("r", "ann", 1)).await;
    let readers = store.memberships().readers(&room("r"), 10).await.unwrap();
    let read = |name, number| Read {
        user_id: user(name),
        seq: seq(number),
    };
    assert_eq!(readers, [read("ann", 1), read("bob", 5)]);
    assert_eq!(
        store
            .memberships()
            .readers(&room("r"), 1)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_first_mark_follows_a_room_and_a_later_one_does_not(database: Database) {
    let store = database.store().await;
    say(&store, "r", "ann", 2).await;
    assert!(marked(&store, mark("r", "bob", 1)).await.is_new);
    assert_eq!(listed(&store, "bob", 10).await, [("r".into(), 1, 2)]);
    store
        .memberships()
        .unfollow(&user("bob"), &room("r"))
        .await
        .unwrap();
    let later = marked(&store, mark("r", "bob", 2)).await;
    assert!(later.moved && !later.is_new, "{later:?}");
    assert_eq!(listed(&store, "bob", 10).await, []);
    assert!(
        store
            .memberships()
            .follow(&user("bob"), &room("r"), None)
            .await
            .unwrap()
    );
    assert_eq!(listed(&store, "bob", 10).await, [("r".into(), 2, 2)]);
}

async fn a_room_is_followed_muted_and_followed_no_longer(database: Database) {
    let store = database.store().await;
    let muted = async || {
        let followed = store
            .memberships()
            .followed(&[user("ann"), user("bob")])
            .await
            .unwrap();
        followed
            .into_iter()
            .map(|row| (row.user_id, row.muted))
            .collect::<Vec<_>>()
    };
    for (asked, expected) in [
        (None, false),
        (Some(true), true),
        (None, true),
        (Some(false), false),
    ] {
        store
            .memberships()
            .follow(&user("ann"), &room("r"), asked)
            .await
            .unwrap();
        assert_eq!(muted().await, [(user("ann"), expected)]);
    }
    for _ in 0..2 {
        store
            .memberships()
            .unfollow(&user("ann"), &room("r"))
            .await
            .unwrap();
        assert_eq!(muted().await, []);
    }
}

async fn a_user_follows_a_thousand_rooms_and_no_more(database: Database) {
    let store = database.store().await;
    for number in 0..MAX_FOLLOWED {
        assert!(
            store
                .memberships()
                .follow(&user("ann"), &room(number), None)
                .await
                .unwrap()
        );
    }
    let follow = async |name: &str, muted| {
        let (follower, room) = (user("ann"), room(name));
        store
            .memberships()
            .follow(&follower, &room, muted)
            .await
            .unwrap()
    };
    assert!(!follow("one more", None).await);
    assert!(follow("7", Some(true)).await, "a followed one may be muted");
    say(&store, "one more", "bob", 1).await;
    let marked = marked(&store, mark("one more", "ann", 1)).await;
    assert!(marked.moved && !marked.is_new, "{marked:?}");
    store
        .memberships()
        .unfollow(&user("ann"), &room("7"))
        .await
        .unwrap();
    assert!(follow("one more", None).await);
    assert_eq!(listed(&store, "ann", 100).await.len(), MAX_FOLLOWED);
}

async fn the_list_has_the_latest_activity_first_page_by_page(database: Database) {
    let store = database.store().await;
    for name in ["quiet", "a", "b", "c"] {
        store
            .memberships()
            .follow(&user("ann"), &room(name), None)
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    for name in ["b", "c", "a"] {
        say(&store, name, "bob", 2).await;
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    say(&store, "not followed", "bob", 1).await;
    let expected = [("a", 0, 2), ("c", 0, 2), ("b", 0, 2), ("quiet", 0, 0)]
        .map(|(name, read, last)| (name.to_owned(), read, last));
    for limit in [1, 2, 3, 4, 100] {
        assert_eq!(listed(&store, "ann", limit).await, expected, "{limit}");
    }
    let page = store
        .memberships()
        .list(&user("ann"), None, 4)
        .await
        .unwrap();
    let newest = page[0].last_message.as_ref().unwrap();
    assert_eq!((newest.seq, newest.user_id.as_str()), (seq(2), "bob"));
    assert_eq!(page[3].last_message, None);
    assert_eq!(listed(&store, "nobody", 10).await, []);
}

async fn own_messages_count_as_read(database: Database) {
    let store = database.store().await;
    store
        .memberships()
        .follow(&user("ann"), &room("r"), None)
        .await
        .unwrap();
    for (author, count, read) in [
        ("bob", 2, 0),
        ("ann", 1, 3),
        ("bob", 150, 3),
        ("ann", 1, 154),
        ("bob", 199, 154),
    ] {
        say(&store, "r", author, count).await;
        assert_eq!(
            listed(&store, "ann", 10).await[0].1,
            read,
            "{author} {count}"
        );
    }
    // Beyond the newest ones an own message is not looked for: there are too many to count.
    say(&store, "r", "bob", 1).await;
    assert_eq!(listed(&store, "ann", 10).await, [("r".into(), 0, 354)]);
    marked(&store, mark("r", "ann", 353)).await;
    assert_eq!(listed(&store, "ann", 10).await, [("r".into(), 353, 354)]);
}

async fn the_ends_of_rooms_come_with_their_authors(database: Database) {
    let store = database.store().await;
    say(&store, "r", "ann", 2).await;
    say(&store, "r", "bob \"é\" \\", 1).await;
    say(&store, "s", "cleo", 1).await;
    let authors = async |after: i64| {
        let places = [(room("r"), seq(after)), (room("none"), Seq::ZERO)];
        let mut latest = store.memberships().latest(&places).await.unwrap();
        assert_eq!(latest.len(), 1);
        let latest = latest.remove(0);
        assert_eq!((latest.room_id, latest.last_seq), (room("r"), seq(3)));
        assert_eq!(latest.last_message.unwrap().seq, seq(3));
        let authors = latest.authors.into_iter();
        authors
            .map(|read| (read.user_id, read.seq.get()))
            .collect::<BTreeMap<_, _>>()
    };
    let (ann, bob) = (user("ann"), user("bob \"é\" \\"));
    assert_eq!(authors(0).await, [(ann, 2), (bob.clone(), 3)].into());
    assert_eq!(authors(2).await, [(bob, 3)].into());
    assert_eq!(authors(3).await, BTreeMap::new());
}

/// Two servers write the marks of the same readers in opposite orders.
async fn marks_of_many_stores_at_once_keep_the_furthest_position(database: Database) {
    const READERS: i64 = 40;
    let stores = [database.store().await, database.store().await];
    say(&stores[0], "r", "ann", 100).await;
    let writing = (0..20_i64).map(|round| {
        let store = stores[usize::try_from(round % 2).unwrap()].clone();
        async move {
            let name = |number: i64| format!("reader {number}");
            let marks =
                (0..READERS).map(|number| mark("r", &name(number), (round * 7 + number) % 100 + 1));
            let mut marks: Vec<_> = marks.collect();
            if round % 2 == 1 {
                marks.reverse();
            }
            store.memberships().mark(&marks).await.unwrap();
        }
    });
    join_all(writing).await;
    let furthest = |number| {
        (0..20)
            .map(|round| (round * 7 + number) % 100 + 1)
            .max()
            .unwrap()
    };
    let readers = stores[0]
        .memberships()
        .readers(&room("r"), 100)
        .await
        .unwrap();
    assert_eq!(readers.len(), usize::try_from(READERS).unwrap());
    for read in readers {
        let number = read
            .user_id
            .as_str()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse::<i64>()
            .unwrap();
        assert_eq!(read.seq.get(), furthest(number), "{number}");
    }
}
