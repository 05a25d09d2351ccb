use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use super::*;
use crate::bus::ServerId;

const SETTINGS: PresenceSettings = PresenceSettings {
    grace: Duration::from_secs(5),
    names_limit: 3,
};

fn user(name: &str) -> UserId {
    name.try_into().unwrap()
}

fn room() -> RoomId {
    "room".try_into().unwrap()
}

fn names(users: &[UserId]) -> Vec<&str> {
    let mut names: Vec<_> = users.iter().map(UserId::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test(start_paused = true)]
async fn the_first_change_goes_out_at_once_and_further_ones_together() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.enter(1, &user("ann"));
    let first = members.tick(&room()).unwrap();
    assert_eq!((names(&first.joined), first.member_count), (vec!["ann"], 1));

    members.enter(2, &user("bob"));
    members.enter(3, &user("cid"));
    assert_eq!(members.tick(&room()), None);
    tokio::time::advance(INTERVAL).await;
    let second = members.tick(&room()).unwrap();
    assert_eq!(
        (names(&second.joined), second.member_count),
        (vec!["bob", "cid"], 3)
    );
    assert_eq!(members.next_tick(), None);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_came_and_left_between_two_packets_is_named_as_gone() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.enter(1, &user("ann"));
    members.tick(&room());
    members.enter(2, &user("bob"));
    members.enter(3, &user("cid"));
    members.leave(2, Departure::Left);
    tokio::time::advance(INTERVAL).await;
    let told = members.tick(&room()).unwrap();
    assert_eq!(
        (names(&told.joined), names(&told.left), told.member_count),
        (vec!["cid"], vec!["bob"], 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_users_tabs_are_one_member() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.enter(1, &user("ann"));
    members.enter(2, &user("ann"));
    members.enter(2, &user("ann"));
    members.tick(&room());
    members.leave(1, Departure::Left);
    assert_eq!((members.count(), members.next_tick()), (1, None));
    members.leave(2, Departure::Left);
    tokio::time::advance(INTERVAL).await;
    let told = members.tick(&room()).unwrap();
    assert_eq!((names(&told.left), told.member_count), (vec!["ann"], 0));
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_leaves_after_the_grace_unless_it_returns() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.enter(1, &user("ann"));
    members.enter(2, &user("bob"));
    members.tick(&room());
    members.leave(1, Departure::Broken);
    members.leave(2, Departure::Broken);
    tokio::time::advance(SETTINGS.grace / 2).await;
    members.enter(3, &user("ann"));
    members.leave(3, Departure::Broken);
    tokio::time::advance(SETTINGS.grace / 2).await;
    assert_eq!(names(&members.tick(&room()).unwrap().left), ["bob"]);
    tokio::time::advance(SETTINGS.grace / 2).await;
    assert_eq!(names(&members.tick(&room()).unwrap().left), ["ann"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_room_is_told_only_how_many_and_once_a_second() {
    let mut members = Members::new(SETTINGS, Tally::default());
    for (number, name) in ["ann", "bob", "cid", "dot"].into_iter().enumerate() {
        members.enter(number as u64, &user(name));
    }
    let told = members.tick(&room()).unwrap();
    assert_eq!(
        (told.joined, told.left, told.member_count),
        (vec![], vec![], 4)
    );
    members.enter(9, &user("eve"));
    tokio::time::advance(LARGE_INTERVAL - Duration::from_millis(1)).await;
    assert_eq!(members.tick(&room()), None);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(members.tick(&room()).unwrap().member_count, 5);
}

/// Returns news of rosters of the servers 1, 2 and so on, and of a server that is not listed.
fn news(rosters: &[&[&str]], kept: Option<ServerId>) -> RostersRead {
    let named = |names: &&[&str]| Roster::Named(names.iter().map(|name| user(name)).collect());
    RostersRead {
        rosters: (1..).map(server).zip(rosters.iter().map(named)).collect(),
        kept: Arc::new(HashSet::from_iter(kept)),
    }
}

fn server(number: u128) -> ServerId {
    ServerId(Uuid::from_u128(number))
}

/// Returns the members that joined, those that left, and their number.
fn told(members: &mut Members) -> (Vec<String>, Vec<String>, usize) {
    let told = members.tick(&room()).unwrap();
    let owned = |users: &[UserId]| names(users).into_iter().map(str::to_owned).collect();
    (owned(&told.joined), owned(&told.left), told.member_count)
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_user_on_several_servers_is_a_member_until_it_is_on_none() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.enter(1, &user("ann"));
    members.tick(&room());
    tokio::time::advance(INTERVAL).await;
    members.read(news(&[&["ann", "bob"], &["bob"]], None), false);
    assert_eq!(told(&mut members), (strings(&["bob"]), vec![], 2));
    tokio::time::advance(INTERVAL).await;
    members.read(news(&[&[], &["bob"]], None), false);
    assert_eq!(members.tick(&room()), None);
    members.enter(2, &user("bob"));
    members.read(news(&[&[], &[]], None), false);
    assert_eq!(members.tick(&room()), None);
    members.leave(2, Departure::Left);
    assert_eq!(told(&mut members), (vec![], strings(&["bob"]), 1));
}

#[tokio::test(start_paused = true)]
async fn members_of_a_server_that_is_not_listed_stay_while_it_is_kept() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.enter(1, &user("ann"));
    members.read(news(&[&["bob"]], None), false);
    members.tick(&room());
    tokio::time::advance(INTERVAL).await;
    members.read(news(&[], Some(server(1))), false);
    assert_eq!((members.tick(&room()), members.count()), (None, 2));
    members.read(news(&[], None), false);
    assert_eq!(told(&mut members), (vec![], strings(&["bob"]), 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_joiner_is_not_told_of_members_in_its_answer() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.read(news(&[&["bob"]], None), false);
    members.enter(1, &user("ann"));
    assert_eq!(names(&members.listed()), ["ann", "bob"]);
    assert_eq!(told(&mut members), (strings(&["ann"]), vec![], 2));
}

#[tokio::test(start_paused = true)]
async fn a_roster_names_the_users_here_and_goes_out_once_in_an_interval() {
    let mut members = Members::new(SETTINGS, Tally::default());
    members.read(news(&[&["bob"]], None), false);
    assert_eq!(members.take_roster(Instant::now()), None);
    members.enter(1, &user("ann"));
    members.enter(2, &user("ann"));
    let roster = Roster::Named(vec![user("ann")]);
    assert_eq!(members.take_roster(Instant::now()), Some(roster));
    members.leave(1, Departure::Broken);
    members.leave(2, Departure::Broken);
    assert_eq!(members.next_roster(), None);
    tokio::time::advance(SETTINGS.grace).await;
    members.tick(&room());
    let roster = Roster::Named(vec![]);
    assert_eq!(members.take_roster(Instant::now()), Some(roster));
    members.enter(1, &user("ann"));
    assert_eq!(members.take_roster(Instant::now()), None);
    assert_eq!(members.next_roster(), Some(Instant::now() + INTERVAL));
}

#[tokio::test(start_paused = true)]
async fn a_large_rooms_roster_is_a_count_and_counts_of_other_servers_add_up() {
    let mut members = Members::new(SETTINGS, Tally::default());
    for (number, name) in ["ann", "bob", "cid", "dot"].into_iter().enumerate() {
        members.enter(number as u64, &user(name));
    }
    assert_eq!(
        members.take_roster(Instant::now()),
        Some(Roster::Counted(4))
    );
    members.tick(&room());
    let rosters = vec![(server(1), Roster::Counted(300))];
    members.read(
        RostersRead {
            rosters,
            kept: Arc::default(),
        },
        false,
    );
    tokio::time::advance(LARGE_INTERVAL).await;
    assert_eq!(told(&mut members), (vec![], vec![], 304));
}
