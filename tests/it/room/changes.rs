//! A room's changes that nobody told it of.

use parlor::model::{Action, Change, Committed, Edit};

use super::*;

fn edit(seq: i64, text: &str) -> Change {
    let action = Action::Edit(Edit {
        body: Body::parse(text, 100).unwrap(),
        metadata: None,
        if_revision: None,
        sent_since: None,
    });
    let user = "ann".try_into().unwrap();
    Change::new(room(), seq.try_into().unwrap(), user, false, action)
}

/// A house with a message in an open room.
async fn house() -> (House, Arc<Participant>) {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    house.send(&ann, "hello").await;
    (house, ann)
}

/// Changes the log as another server does.
async fn commit(house: &House, changes: &[Change]) -> Committed {
    house.store.commit(&[], changes).await.unwrap()
}

impl House {
    /// Returns the revisions told to the members, each with the one before it.
    fn told(&self) -> Vec<(i64, i64)> {
        let changes = self.sent.changes.lock().unwrap();
        let told = changes.iter();
        told.map(|change| (change.previous.get(), change.revision.get()))
            .collect()
    }

    async fn until_told(&self, expected: &[(i64, i64)]) {
        eventually("the changes", async || self.told().len() >= expected.len()).await;
        assert_eq!(self.told(), expected);
    }
}

/// Tells the room of a commit's changes.
fn observe(house: &House, committed: &Committed) {
    house.rooms.observe(Outcome::Stored {
        messages: vec![],
        authors: vec![],
        conversations: vec![],
        changes: committed.rooms.iter().map(|room| room.encode()).collect(),
    });
}

#[tokio::test]
async fn a_room_reads_the_changes_between_its_own_and_those_it_is_told_of() {
    let (house, ann) = house().await;
    commit(&house, &[edit(1, "one")]).await;
    commit(&house, &[edit(1, "two")]).await;
    let last = commit(&house, &[edit(1, "three")]).await;
    observe(&house, &last);
    // Of a message with several changes the newest state is enough.
    house.until_told(&[(0, 3)]).await;
    let next = commit(&house, &[edit(1, "four")]).await;
    observe(&house, &next);
    observe(&house, &last);
    house.until_told(&[(0, 3), (3, 4)]).await;
    let joined = house.join(&ann).await;
    assert_eq!(
        (texts(&joined), joined.last_revision.get()),
        (vec!["four".into()], 4)
    );
}

#[tokio::test]
async fn a_room_looks_for_changes_of_unknown_outcome() {
    let (house, _ann) = house().await;
    commit(&house, &[edit(1, "perhaps")]).await;
    house.rooms.observe(Outcome::Unknown(vec![room()]));
    house.until_told(&[(0, 1)]).await;
}

#[tokio::test]
async fn a_change_is_told_after_its_message() {
    let (house, _ann) = house().await;
    let body = Body::parse("second", 100).unwrap();
    let draft = Draft::new(room(), "ann".try_into().unwrap(), None, body, None);
    house.store.append(&[draft]).await.unwrap();
    let changed = commit(&house, &[edit(2, "better")]).await;
    observe(&house, &changed);
    house.until_told(&[(0, 1)]).await;
    assert_eq!(house.sent(), ["hello", "better"]);
}
