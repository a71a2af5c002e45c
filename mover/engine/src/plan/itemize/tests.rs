use super::Item;
use crate::entry::{Kind, Meta, Time, Xattrs};
use crate::fs::ability::{Ability, OwnerMap};
use crate::plan::compare::XattrChanges;
use crate::run::events::Change;

fn meta(kind: Kind) -> Meta {
    Meta {
        kind,
        mode: 0o644,
        uid: 5,
        gid: 6,
        size: 10,
        blocks: 8,
        mtime: Time::default(),
        ctime: Time::default(),
        rdev: (0, 0),
        dev: (8, 1),
        ino: 42,
        nlink: 1,
    }
}

fn root() -> Ability {
    Ability {
        chown: true,
        groups: vec![0],
        owner_override: true,
        devices: true,
        trusted: true,
        capability: true,
        special_files: true,
        uid: 0,
        owner: OwnerMap::default(),
    }
}

fn code(item: &Item, change: Change) -> String {
    String::from_utf8_lossy(&item.code(change)).into_owned()
}

#[test]
fn what_is_new_has_no_details() {
    for (kind, made) in [
        (Kind::File, ">f+++++++++"),
        (Kind::Directory, "cd+++++++++"),
        (Kind::Symlink, "cL+++++++++"),
        (Kind::Fifo, "cS+++++++++"),
        (Kind::Socket, "cS+++++++++"),
        (Kind::BlockDevice, "cD+++++++++"),
    ] {
        assert_eq!(code(&Item::new(kind), Change::Created), made);
    }
    let link = Item::new(Kind::File);
    assert_eq!(code(&link, Change::Linked), "hf+++++++++");
    assert_eq!(code(&link, Change::Deleted), "*deleting  ");
}

#[test]
fn each_difference_has_its_letter() {
    let (wanted, mut found) = (meta(Kind::File), meta(Kind::File));
    (found.size, found.mode, found.uid, found.gid) = (1, 0, 0, 0);
    found.mtime.nanoseconds = 1;
    let mut item = Item::compare(&wanted, &found, &root());
    assert_eq!(code(&item, Change::Replaced), ">f.stpog...");
    let (acl, other): (&[u8], &[u8]) = (b"system.posix_acl_access", b"user.a");
    let changes = XattrChanges {
        set: vec![(acl, b"\x02\0\0\0\x02\0\x07\0\xe8\x03\0\0")],
        remove: vec![other],
        not_kept: vec![],
    };
    item.add_xattrs(&changes, &Xattrs::default());
    assert_eq!(code(&item, Change::Replaced), ">f.stpog.ax");
}

#[test]
fn a_name_that_only_becomes_a_link_has_blanks() {
    let same = Item::compare(&meta(Kind::File), &meta(Kind::File), &root());
    assert_eq!(code(&same, Change::Linked), "hf         ");
    assert_eq!(code(&same, Change::Replaced), ">f.........");
}

#[test]
fn an_acl_that_differs_as_the_mode_does_is_not_named_twice() {
    let acl = |mask: u8| {
        let entries = [[1, 0, 7, 0], [2, 0, 5, 0], [4, 0, 5, 0], [0x10, 0, mask, 0]];
        let entries = entries.map(|entry| [entry, [0xe8, 3, 0, 0]].concat());
        [vec![2, 0, 0, 0], entries.concat()].concat()
    };
    let name: &[u8] = b"system.posix_acl_access";
    let found = Xattrs(vec![(name.into(), acl(7).into())]);
    let named = |mask: u8| {
        let mut item = Item::compare(&meta(Kind::File), &meta(Kind::File), &root());
        let value = acl(mask);
        let changes = XattrChanges {
            set: vec![(name, &value)],
            ..XattrChanges::default()
        };
        item.add_xattrs(&changes, &found);
        item.acl
    };
    assert!(!named(3));
    // The group's own entry is the mask now, so the mode says it.
    assert!(named(5));
}

#[test]
fn another_kind_is_new() {
    let item = Item::compare(&meta(Kind::File), &meta(Kind::Symlink), &root());
    assert_eq!(item, Item::new(Kind::File));
}

#[test]
fn a_device_with_another_number_has_other_content() {
    let (wanted, mut found) = (meta(Kind::CharDevice), meta(Kind::CharDevice));
    found.rdev = (1, 3);
    let item = Item::compare(&wanted, &found, &root());
    assert_eq!(code(&item, Change::Replaced), "cDc........");
}

#[test]
fn what_cannot_be_kept_is_no_difference() {
    let (wanted, mut found) = (meta(Kind::File), meta(Kind::File));
    (found.uid, found.gid) = (1000, 100);
    let user = Ability {
        chown: false,
        groups: vec![100],
        uid: 1000,
        ..root()
    };
    let item = Item::compare(&wanted, &found, &user);
    assert!(!item.owner && !item.group);
}
