use super::*;

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
    let mut members = Members::new(SETTINGS);
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
    let mut members = Members::new(SETTINGS);
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
    let mut members = Members::new(SETTINGS);
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
    let mut members = Members::new(SETTINGS);
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
    let mut members = Members::new(SETTINGS);
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
