use super::{Existing, Fit, Links, Role, Unproven};
use crate::entry::Inode;

fn inode(ino: u64) -> Inode {
    Inode { dev: (0, 1), ino }
}

fn existing(ino: u64, names: u32) -> Existing {
    let inode = inode(ino);
    Existing { inode, names }
}

fn join(
    links: &mut Links<&'static str, &'static str>,
    group: u64,
    existing_inode: Option<u64>,
    keep: bool,
    name: &'static str,
) -> Option<Role<&'static str>> {
    let existing = existing_inode.map(|ino| existing(ino, 3));
    let fit = if keep { Fit::Only } else { Fit::Not };
    links
        .join(inode(group), existing, fit, name, name)
        .map(|(role, _)| role)
}

#[test]
fn a_group_with_more_names_than_an_inode_can_have_keeps_all_that_serve_it() {
    let mut links = Links::default();
    let mut join = |ino: u64, fit, name| {
        let existing = Some(existing(ino, 2));
        let (role, _) = links.join(inode(1), existing, fit, name, name).unwrap();
        role
    };
    let several = Fit::OneOfSeveral;
    assert_eq!(join(70, several, "a"), Role::Kept);
    assert_eq!(join(71, several, "b"), Role::Kept);
    assert_eq!(join(70, several, "c"), Role::Linked);
    assert_eq!(join(71, several, "d"), Role::Linked);
    // What is not as it should be becomes a link of the first.
    assert_eq!(join(72, Fit::Not, "e"), Role::Link("a", inode(70)));
    assert!(links.take_unproven().is_empty(), "all names were found");
    // One of another group is not taken.
    let (role, _) = links
        .join(inode(2), Some(existing(80, 2)), several, "f", "f")
        .unwrap();
    assert_eq!(role, Role::Kept);
    let (role, _) = links
        .join(inode(2), Some(existing(71, 2)), several, "g", "g")
        .unwrap();
    assert_eq!(role, Role::Link("f", inode(80)));
}

#[test]
fn names_that_come_while_the_leader_is_made_wait_for_it() {
    let mut links = Links::default();
    assert_eq!(join(&mut links, 1, None, false, "a"), Some(Role::Lead));
    assert_eq!(join(&mut links, 1, None, false, "b"), None);
    assert_eq!(links.ready(inode(1), inode(70), "a"), ["b"]);
    assert_eq!(
        join(&mut links, 1, None, false, "c"),
        Some(Role::Link("a", inode(70)))
    );
    assert_eq!(join(&mut links, 1, Some(70), true, "d"), Some(Role::Linked));
}

#[test]
fn one_inode_at_the_destination_never_serves_two_groups() {
    let mut links = Links::default();
    assert_eq!(join(&mut links, 1, Some(70), true, "a"), Some(Role::Kept));
    assert_eq!(join(&mut links, 2, Some(70), true, "b"), Some(Role::Lead));
    assert_eq!(join(&mut links, 1, Some(70), true, "c"), Some(Role::Linked));
}

#[test]
fn a_leader_that_fails_has_a_successor_until_nobody_waits() {
    let mut links = Links::default();
    assert_eq!(join(&mut links, 1, None, false, "a"), Some(Role::Lead));
    assert_eq!(join(&mut links, 1, None, false, "b"), None);
    assert_eq!(links.failed(inode(1)), Some("b"));
    assert_eq!(links.failed(inode(1)), None);
    assert_eq!(join(&mut links, 1, None, false, "c"), Some(Role::Lead));
}

#[test]
fn an_inode_with_all_the_names_it_can_have_is_followed_by_a_new_one() {
    let mut links = Links::default();
    join(&mut links, 1, None, false, "a");
    links.ready(inode(1), inode(70), "a");
    links.full(inode(1));
    assert_eq!(join(&mut links, 1, None, false, "c"), None);
    assert_eq!(links.ready(inode(1), inode(71), "b"), ["c"]);
}

#[test]
fn a_leader_that_is_found_right_after_all_is_followed_unless_its_inode_serves_another_group() {
    let mut links = Links::default();
    assert_eq!(join(&mut links, 1, Some(70), false, "a"), Some(Role::Lead));
    assert_eq!(join(&mut links, 1, Some(70), false, "b"), None);
    assert_eq!(links.keep(inode(1), existing(70, 2), "a"), Some(vec!["b"]));
    assert_eq!(
        join(&mut links, 1, Some(70), false, "c"),
        Some(Role::Linked)
    );
    assert_eq!(join(&mut links, 2, Some(70), false, "d"), Some(Role::Lead));
    assert_eq!(links.keep(inode(2), existing(70, 2), "d"), None);
}

#[test]
fn an_inode_is_proven_when_as_many_of_its_names_were_found_as_it_has() {
    let mut links = Links::default();
    for name in ["a", "b", "c"] {
        assert!(join(&mut links, 1, Some(70), true, name).is_some());
    }
    assert!(links.take_unproven().is_empty());
    // One that has no other name needs no proof.
    assert_eq!(
        links.keep(inode(2), existing(71, 1), "d"),
        Some(Vec::<&str>::new())
    );
    assert!(links.take_unproven().is_empty());
}

#[test]
fn a_link_that_was_made_does_not_stand_for_a_name_that_was_there() {
    let mut links = Links::default();
    assert_eq!(join(&mut links, 1, Some(70), true, "a"), Some(Role::Kept));
    assert_eq!(join(&mut links, 1, Some(70), true, "b"), Some(Role::Linked));
    assert_eq!(
        join(&mut links, 1, None, true, "c"),
        Some(Role::Link("a", inode(70)))
    );
    links.linked(inode(70), "c");
    let unproven = Unproven {
        had: 3,
        found: vec!["a", "b"],
        linked: vec!["c"],
    };
    assert_eq!(links.take_unproven().remove(&inode(70)), Some(unproven));
}
