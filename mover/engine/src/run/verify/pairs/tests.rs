use super::{Pair, Pairs};
use crate::entry::{Kind, Meta, Time};

fn inode(ino: u64, nlink: u32) -> Meta {
    Meta {
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 1,
        blocks: 8,
        mtime: Time::default(),
        ctime: Time::default(),
        rdev: (0, 0),
        dev: (8, 1),
        ino,
        nlink,
    }
}

const RIGHT: Pair = Pair {
    right: true,
    first: true,
};
const AGAIN: Pair = Pair {
    right: true,
    first: false,
};

#[test]
fn a_group_that_pairs_off_is_right_and_its_content_is_compared_once() {
    let mut pairs = Pairs::default();
    assert_eq!(pairs.pair(&inode(1, 2), &inode(11, 2)), RIGHT);
    assert_eq!(pairs.pair(&inode(1, 2), &inode(11, 2)), AGAIN);
    assert_eq!(pairs.pair(&inode(2, 1), &inode(12, 1)), RIGHT);
}

#[test]
fn names_that_are_parted_or_joined_are_not_right_and_their_content_is_compared() {
    let mut pairs = Pairs::default();
    assert_eq!(pairs.pair(&inode(1, 2), &inode(11, 1)), RIGHT);
    let parted = pairs.pair(&inode(1, 2), &inode(12, 1));
    assert!(!parted.right && parted.first, "{parted:?}");
    let mut pairs = Pairs::default();
    assert!(!pairs.pair(&inode(1, 1), &inode(11, 2)).right);
    let joined = pairs.pair(&inode(2, 1), &inode(11, 2));
    assert!(!joined.right && joined.first, "{joined:?}");
}
