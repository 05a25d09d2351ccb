//! The state of webhooks in the databases.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use parlor::{
    model::{Access, Authority, NewSettings, Role, RoomAction, RoomChange, RoomId, RoomInfo, Seq},
    store::{Cursor, EndpointId, Lease, MessageStore, Results, RoomState},
};
use uuid::Uuid;

use crate::support::{
    Database, conformance,
    log::{append, append_old},
};

conformance!(
    places_are_moved_by_the_holder_of_the_lease_alone,
    a_room_without_a_place_is_at_its_beginning,
    members_are_read_on_within_a_revision,
    a_rewind_goes_back_to_a_time_and_no_further,
);

const ENDPOINT: EndpointId = EndpointId(Uuid::from_u128(1));
const LEASE: Duration = Duration::from_secs(60);

fn room(name: &str) -> RoomId {
    name.try_into().unwrap()
}

fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

fn at(name: &str, number: i64) -> Cursor {
    Cursor {
        seq: seq(number),
        ..Cursor::beginning_of(room(name))
    }
}

/// Makes the endpoint known, with places at the ends of all rooms.
async fn register(store: &Arc<dyn MessageStore>) {
    let webhooks = store.webhooks().unwrap();
    assert!(
        !webhooks
            .register(ENDPOINT, "https://a.example/")
            .await
            .unwrap()
    );
    let mut last = None;
    loop {
        last = webhooks
            .start_at_end(ENDPOINT, last.as_ref(), 1)
            .await
            .unwrap();
        if last.is_none() {
            break;
        }
    }
    assert!(
        webhooks
            .register(ENDPOINT, "https://a.example/")
            .await
            .unwrap()
    );
}

/// Takes the lease, and returns the epoch.
async fn lease(store: &Arc<dyn MessageStore>) -> Option<i64> {
    let webhooks = store.webhooks().unwrap();
    match webhooks.lease(ENDPOINT, LEASE).await.unwrap() {
        Lease::Taken(epoch) => Some(epoch),
        Lease::Elsewhere => None,
        Lease::Disabled => panic!("it is on"),
    }
}

async fn places_are_moved_by_the_holder_of_the_lease_alone(database: Database) {
    append(&database, "r", "ann", &["1", "2", "3"]).await;
    let store = database.store().await;
    register(&store).await;
    let webhooks = store.webhooks().unwrap();
    let place = async || {
        webhooks
            .place(ENDPOINT, &room("r"))
            .await
            .unwrap()
            .unwrap()
            .0
    };
    assert_eq!(place().await, at("r", 3));
    let first = lease(&store).await.unwrap();
    if database.url().starts_with("postgres") {
        assert_eq!(lease(&store).await, None, "it is taken");
        webhooks.release(ENDPOINT, first).await.unwrap();
    }
    let second = lease(&store).await.unwrap();
    let none = Results::default();
    assert!(!webhooks.renew(ENDPOINT, first, LEASE, &none).await.unwrap());
    assert!(
        !webhooks
            .advance(ENDPOINT, first, &[at("r", 9)])
            .await
            .unwrap()
    );
    assert_eq!(place().await, at("r", 3));
    let mut moved = Cursor {
        part: Some("ann".into()),
        attempts: 3,
        retry_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        ..at("r", 4)
    };
    assert!(
        webhooks
            .renew(ENDPOINT, second, LEASE, &none)
            .await
            .unwrap()
    );
    let both = [moved.clone(), at("s", 1)];
    assert!(webhooks.advance(ENDPOINT, second, &both).await.unwrap());
    assert_eq!(place().await, moved);
    webhooks.disable(ENDPOINT, first, "late").await.unwrap();
    assert_eq!(webhooks.statuses().await.unwrap()[0].disabled, None);
    // A move by hand begins a new epoch.
    while let Some(last) = webhooks.rewind(ENDPOINT, None, None, 10).await.unwrap() {
        assert_eq!(last, room("s"));
        if webhooks
            .rewind(ENDPOINT, None, Some(&last), 10)
            .await
            .unwrap()
            .is_none()
        {
            break;
        }
    }
    assert!(
        !webhooks
            .advance(ENDPOINT, second, &[at("r", 9)])
            .await
            .unwrap()
    );
    (moved.attempts, moved.retry_at) = (0, None);
    assert_eq!(place().await, moved);
    let third = lease(&store).await.unwrap();
    webhooks.disable(ENDPOINT, third, "gone").await.unwrap();
    let disabled = webhooks.lease(ENDPOINT, LEASE).await.unwrap();
    assert_eq!(disabled, Lease::Disabled);
    assert!(webhooks.restart(ENDPOINT).await.unwrap());
    assert!(lease(&store).await.unwrap() > third);
}

async fn a_room_without_a_place_is_at_its_beginning(database: Database) {
    append(&database, "old", "ann", &["1"]).await;
    let store = database.store().await;
    register(&store).await;
    append(&database, "a", "ann", &["1", "2"]).await;
    append(&database, "b", "ann", &["1"]).await;
    let webhooks = store.webhooks().unwrap();
    let behind = async |after: Option<&str>, limit| {
        let after = after.map(room);
        let rooms = webhooks
            .behind(ENDPOINT, after.as_ref(), limit)
            .await
            .unwrap();
        Vec::from_iter(rooms.iter().map(|room| room.as_str().to_owned()))
    };
    assert_eq!(behind(None, 10).await, ["a", "b"]);
    assert_eq!(behind(None, 1).await, ["a"]);
    assert_eq!(behind(Some("a"), 10).await, ["b"]);
    let (cursor, head) = webhooks.place(ENDPOINT, &room("a")).await.unwrap().unwrap();
    assert_eq!((cursor, head.seq), (at("a", 0), seq(2)));
    assert_eq!(webhooks.place(ENDPOINT, &room("none")).await.unwrap(), None);
    let status = webhooks.statuses().await.unwrap().remove(0);
    assert_eq!((status.rooms, status.events), (2, 3));
    // An attempt that is due later is none of a round's.
    let epoch = lease(&store).await.unwrap();
    let later = Cursor {
        retry_at: Some(Utc::now() + TimeDelta::hours(1)),
        ..at("b", 0)
    };
    assert!(
        webhooks
            .advance(ENDPOINT, epoch, &[at("a", 2), later])
            .await
            .unwrap()
    );
    assert_eq!(behind(None, 10).await, [""; 0]);
}

async fn change(store: &Arc<dyn MessageStore>, action: RoomAction) {
    let change = RoomChange {
        room_id: room("r"),
        user_id: "ann".try_into().unwrap(),
        authority: Authority::User,
        action,
    };
    store.rooms().change(&change).await.unwrap().unwrap();
}

async fn members_are_read_on_within_a_revision(database: Database) {
    let store = database.store().await;
    let user = |name: &str| name.try_into().unwrap();
    let members = vec![user("bob"), user("eve")];
    let settings = NewSettings::default();
    change(
        &store,
        RoomAction::Create {
            settings,
            owner: Some(user("ann")),
            members,
        },
    )
    .await;
    change(&store, RoomAction::Remove { user: user("eve") }).await;
    let webhooks = store.webhooks().unwrap();
    let read = async |revision: i64, part: Option<&str>, limit| {
        let after = Cursor {
            revision: revision.try_into().unwrap(),
            part: part.map(str::to_owned),
            ..Cursor::beginning_of(room("r"))
        };
        let events = webhooks.room_events(&after, limit).await.unwrap();
        Vec::from_iter(
            events
                .into_iter()
                .map(|event| (event.revision.get(), event.state)),
        )
    };
    let info = RoomInfo {
        access: Access::Open,
        ..RoomInfo::default()
    };
    let all = [
        (1, RoomState::Settings(info)),
        (1, RoomState::Member(user("ann"), Some(Role::Owner))),
        (1, RoomState::Member(user("bob"), Some(Role::Member))),
        (2, RoomState::Member(user("eve"), None)),
    ];
    assert_eq!(read(0, None, 10).await, all);
    assert_eq!(read(0, None, 2).await, all[..2]);
    assert_eq!(read(1, Some(""), 10).await, all[1..]);
    assert_eq!(read(1, Some("ann"), 10).await, all[2..]);
    assert_eq!(read(1, None, 10).await, all[3..]);
    assert_eq!(read(2, None, 10).await, []);
}

async fn a_rewind_goes_back_to_a_time_and_no_further(database: Database) {
    let old = (1..=5)
        .rev()
        .map(|hours| (hours * 60, "ann", hours.to_string()));
    append_old(&database, "r", old).await;
    append(&database, "s", "ann", &["1"]).await;
    let store = database.store().await;
    change_settings(&store).await;
    register(&store).await;
    let webhooks = store.webhooks().unwrap();
    let place = async |name: &str| {
        let (cursor, _) = webhooks
            .place(ENDPOINT, &room(name))
            .await
            .unwrap()
            .unwrap();
        (cursor.seq.get(), cursor.revision.get())
    };
    let rewind = async |hours| {
        let to = Utc::now() - TimeDelta::hours(hours) - TimeDelta::minutes(30);
        let last = webhooks.rewind(ENDPOINT, Some(to), None, 10).await.unwrap();
        assert_eq!(last, Some(room("s")));
    };
    let ahead = Utc::now() + TimeDelta::hours(1);
    webhooks
        .rewind(ENDPOINT, Some(ahead), None, 10)
        .await
        .unwrap();
    assert_eq!((place("r").await, place("s").await), ((5, 1), (1, 0)));
    rewind(2).await;
    assert_eq!((place("r").await, place("s").await), ((3, 0), (0, 0)));
    rewind(1).await;
    assert_eq!(place("r").await, (3, 0), "no place goes forth");
}

async fn change_settings(store: &Arc<dyn MessageStore>) {
    let change = RoomChange {
        room_id: room("r"),
        user_id: "ann".try_into().unwrap(),
        authority: Authority::Operator,
        action: RoomAction::Create {
            settings: NewSettings::default(),
            owner: None,
            members: vec![],
        },
    };
    store.rooms().change(&change).await.unwrap().unwrap();
}
