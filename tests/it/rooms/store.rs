//! Rooms' settings and members in each store.

use std::sync::Arc;

use futures_util::future::join_all;
use parlor::{
    model::{
        Access, Authority, Exclusion, NewSettings, Revision, Role, RoomAction, RoomChange,
        RoomChanged, RoomId, RoomInfo, RoomRefusal, UserId,
    },
    store::MessageStore,
};

use crate::support::{Database, conformance};

fn room() -> RoomId {
    "r".try_into().unwrap()
}

fn user(name: &str) -> UserId {
    name.try_into().unwrap()
}

async fn change(
    store: &Arc<dyn MessageStore>,
    by: &str,
    action: RoomAction,
) -> Result<RoomChanged, RoomRefusal> {
    let change = RoomChange {
        room_id: room(),
        user_id: user(by),
        authority: Authority::User,
        action,
    };
    store.rooms().change(&change).await.unwrap()
}

fn create(access: Access) -> RoomAction {
    create_for("ann", access)
}

fn create_for(owner: &str, access: Access) -> RoomAction {
    RoomAction::Create {
        settings: NewSettings {
            access: Some(access),
            ..NewSettings::default()
        },
        owner: Some(user(owner)),
        members: vec![user("bob")],
    }
}

fn add(name: &str) -> RoomAction {
    RoomAction::Add {
        user: user(name),
        role: Role::Member,
    }
}

fn remove(name: &str) -> RoomAction {
    RoomAction::Remove { user: user(name) }
}

/// Returns the reason why a user may not be in the room.
async fn exclusion(store: &Arc<dyn MessageStore>, name: &str) -> Option<Exclusion> {
    let place = (room(), user(name));
    let standings = store
        .rooms()
        .standings(std::slice::from_ref(&place))
        .await
        .unwrap();
    standings[&place].exclusion()
}

conformance!(
    one_of_many_creates_a_room,
    each_change_has_a_revision_and_a_repeat_has_none,
    standings_are_those_of_created_rooms,
    changes_at_once_lose_none,
);

async fn one_of_many_creates_a_room(database: Database) {
    let stores = [database.store().await, database.store().await];
    let creating = (0..40).map(async |number: usize| {
        let name = format!("user {number}");
        let created = change(
            &stores[number % 2],
            &name,
            create_for(&name, Access::Members),
        )
        .await;
        created.is_ok().then_some(name)
    });
    let winners: Vec<_> = join_all(creating).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    let members = stores[0].rooms().members(&room(), None, 10).await.unwrap();
    let names: Vec<_> = members
        .iter()
        .map(|member| (member.user_id.as_str(), member.role))
        .collect();
    assert_eq!(names, [("bob", Role::Member), (&*winners[0], Role::Owner)]);
    let heads = stores[1].heads(&[room()]).await.unwrap();
    assert_eq!(heads[&room()].revision.get(), 1);
}

async fn each_change_has_a_revision_and_a_repeat_has_none(database: Database) {
    let store = database.store().await;
    assert_eq!(store.rooms().settings(&room()).await.unwrap(), None);
    let refused = change(&store, "ann", add("cid")).await;
    assert_eq!(refused.unwrap_err(), RoomRefusal::NotFound);
    let created = change(&store, "ann", create(Access::Open)).await.unwrap();
    assert_eq!(
        (created.settings.revision.get(), created.changed),
        (1, true)
    );
    for (action, revision, changed) in [
        (add("cid"), 2, true),
        (add("cid"), 2, false),
        (remove("cid"), 3, true),
        (remove("cid"), 3, false),
    ] {
        let done = change(&store, "ann", action).await.unwrap();
        assert_eq!(
            (done.settings.revision.get(), done.changed),
            (revision, changed)
        );
        let settings = store.rooms().settings(&room()).await.unwrap().unwrap();
        assert_eq!(settings.revision, done.settings.revision);
        let loaded = store.load(&room(), 10).await.unwrap();
        assert_eq!(loaded.revision, done.settings.revision);
        assert_eq!(loaded.settings, Some(settings));
    }
    let changes = store.read_changes(&room(), Revision::ZERO, 10).await;
    assert!(changes.unwrap().is_empty());
}

async fn standings_are_those_of_created_rooms(database: Database) {
    let store = database.store().await;
    let place = (room(), user("ann"));
    let standings = store.rooms().standings(&[place]).await.unwrap();
    assert!(standings.is_empty());
    change(&store, "ann", create(Access::Members))
        .await
        .unwrap();
    change(&store, "ann", add("cid")).await.unwrap();
    change(&store, "ann", remove("cid")).await.unwrap();
    assert_eq!(exclusion(&store, "ann").await, None);
    assert_eq!(exclusion(&store, "bob").await, None);
    assert_eq!(exclusion(&store, "cid").await, Some(Exclusion::Removed));
    assert_eq!(exclusion(&store, "eve").await, Some(Exclusion::NotMember));
    let open = RoomAction::Set(NewSettings {
        access: Some(Access::Open),
        ..NewSettings::default()
    });
    let opened = change(&store, "ann", open).await.unwrap();
    assert_eq!(opened.settings.info, RoomInfo::default());
    assert_eq!(exclusion(&store, "eve").await, None);
    assert_eq!(exclusion(&store, "cid").await, Some(Exclusion::Removed));
    assert_eq!(store.rooms().standings(&[]).await.unwrap().len(), 0);
}

async fn changes_at_once_lose_none(database: Database) {
    let stores = [database.store().await, database.store().await];
    change(&stores[0], "ann", create(Access::Open))
        .await
        .unwrap();
    let adding = (0..60).map(async |number: usize| {
        let name = format!("user {number:02}");
        let added = change(&stores[number % 2], "ann", add(&name))
            .await
            .unwrap();
        added.settings.revision.get()
    });
    let mut revisions = join_all(adding).await;
    revisions.sort_unstable();
    assert_eq!(revisions, Vec::from_iter(2..62));
    let members = stores[0]
        .rooms()
        .members(&room(), Some(&user("bob")), 100)
        .await
        .unwrap();
    assert_eq!(members.len(), 60);
}
