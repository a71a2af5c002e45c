use super::{
    Attributes, Crashed, Proof, Verdict, attributes_match, compare, same_time, xattr_changes,
};
use crate::entry::{Entry, Kind, Meta, Time, Xattrs};
use crate::fs::ability::{Ability, OwnerMap};

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

fn user() -> Ability {
    Ability {
        chown: false,
        groups: vec![100],
        owner_override: false,
        devices: false,
        trusted: false,
        capability: false,
        special_files: true,
        uid: 1000,
        owner: OwnerMap::default(),
    }
}

fn meta(kind: Kind) -> Meta {
    Meta {
        kind,
        mode: 0o644,
        uid: 5,
        gid: 6,
        size: 10,
        blocks: 8,
        mtime: Time {
            seconds: 100,
            nanoseconds: 7,
        },
        ctime: Time {
            seconds: 200,
            nanoseconds: 0,
        },
        rdev: (0, 0),
        dev: (8, 1),
        ino: 42,
        nlink: 1,
    }
}

fn entry(meta: Meta) -> Entry {
    Entry {
        name: (*b"f").into(),
        meta,
        target: None,
        dir: None,
        xattrs: None,
    }
}

fn verdict(change: impl FnOnce(&mut Meta)) -> Verdict {
    let source = meta(Kind::File);
    let mut existing = Meta { ino: 1, ..source };
    change(&mut existing);
    compare(&entry(source), &existing, None, &root(), Proof::default())
}

#[test]
fn size_or_a_nanosecond_of_time_means_other_content_and_owner_or_mode_do_not() {
    assert_eq!(verdict(|_| ()), Verdict::Same);
    assert_eq!(verdict(|m| m.size = 11), Verdict::Replace);
    assert_eq!(verdict(|m| m.mtime.nanoseconds = 8), Verdict::Replace);
    assert_eq!(verdict(|m| m.kind = Kind::Fifo), Verdict::Replace);
    assert_eq!(verdict(|m| m.mode = 0o600), Verdict::Metadata);
    assert_eq!(verdict(|m| m.uid = 9), Verdict::Metadata);
    assert_eq!(verdict(|m| m.gid = 9), Verdict::Metadata);
}

#[test]
fn after_a_crash_of_the_machine_what_that_run_touched_is_not_trusted() {
    let source = meta(Kind::File);
    let crashed = |seconds| {
        Some(Crashed {
            since: Time {
                seconds,
                nanoseconds: 0,
            },
        })
    };
    let judge = |source: Meta, crashed| {
        let proof = Proof {
            crashed,
            ..Proof::default()
        };
        compare(&entry(source), &meta(Kind::File), None, &root(), proof)
    };
    assert_eq!(judge(source, crashed(200)), Verdict::Content);
    assert_eq!(judge(source, crashed(201)), Verdict::Same);
    // Another time is what the copy goes by; another size no content can make good.
    assert_eq!(
        judge(Meta { size: 11, ..source }, crashed(200)),
        Verdict::Replace
    );
}

#[test]
fn with_checksums_only_the_content_says_whether_files_of_one_size_are_the_same() {
    let source = meta(Kind::File);
    let judge = |source: Meta, existing: Meta| {
        let proof = Proof {
            content: true,
            crashed: None,
        };
        compare(&entry(source), &existing, None, &root(), proof)
    };
    let later = Meta {
        mtime: Time {
            seconds: 101,
            nanoseconds: 7,
        },
        ..source
    };
    assert_eq!(judge(source, source), Verdict::Content);
    assert_eq!(judge(source, later), Verdict::Content);
    assert_eq!(judge(source, Meta { size: 9, ..source }), Verdict::Replace);
    // Nothing has to be read to know that two empty files are the same.
    let empty = |meta| Meta { size: 0, ..meta };
    assert_eq!(judge(empty(source), empty(source)), Verdict::Same);
    assert_eq!(judge(empty(source), empty(later)), Verdict::Metadata);
    let fifo = |meta| Meta {
        kind: Kind::Fifo,
        ..meta
    };
    assert_eq!(judge(fifo(source), fifo(source)), Verdict::Same);
}

/// Whether a source time is the same as one at a destination whose inode was changed at `changed` ns.
fn same(wanted: (i64, u32), found: (i64, u32), changed: u32) -> bool {
    let time = |(seconds, nanoseconds)| Time {
        seconds,
        nanoseconds,
    };
    let source = Meta {
        mtime: time(wanted),
        ..meta(Kind::File)
    };
    let existing = Meta {
        mtime: time(found),
        ctime: time((1_000, changed)),
        ..source
    };
    same_time(&source, &existing)
}

#[test]
fn a_time_that_the_file_system_has_cut_is_the_same_time() {
    // Whole seconds, as inodes of 128 bytes have them.
    assert!(same((5, 123_456_789), (5, 0), 0));
    assert!(same((-5, 123_456_789), (-5, 0), 0));
    // Steps of 100 ns, microseconds, milliseconds, 10 ms.
    assert!(same((5, 123_456_789), (5, 123_456_700), 77));
    assert!(same((5, 123_456_789), (5, 123_456_000), 77));
    assert!(same((5, 123_456_789), (5, 123_000_000), 77));
    assert!(same((5, 123_456_789), (5, 120_000_000), 550_000_000));
    // The same at the beginning of a second, where nothing is left of the time.
    assert!(same((5, 77), (5, 0), 123_456_700));
    assert!(same((5, 6_456_789), (5, 0), 550_000_000));
    // Seconds of 32 bits end in 2038.
    assert!(same((4_000_000_000, 1), (i64::from(i32::MAX), 0), 0));
}

#[test]
fn a_time_that_the_file_system_could_have_kept_is_another_time() {
    assert!(same((5, 7), (5, 7), 77));
    assert!(!same((5, 123_456_789), (5, 0), 77));
    assert!(!same((5, 6_456_789), (5, 0), 77));
    assert!(!same((5, 12_456_789), (5, 0), 550_000_000));
    assert!(!same((5, 123_456_789), (5, 120_000_000), 77));
    assert!(!same((5, 123_456_789), (5, 123_456_788), 0));
    assert!(!same((5, 123_456_789), (5, 123_456_800), 0));
    assert!(!same((5, 123_456_789), (6, 0), 0));
    // Where whole seconds are kept, this is a change of the next second.
    assert!(!same((5, 123_456_789), (4, 0), 0));
    assert!(!same((5, 123_456_789), (3, 0), 0));
    assert!(!same((5, 0), (4, 0), 77));
    assert!(!same((4_000_000_000, 1), (i64::from(i32::MAX), 0), 77));
}

#[test]
fn an_owner_that_cannot_be_kept_is_not_compared_and_takes_the_set_id_bits_with_it() {
    let source = Meta {
        mode: 0o6755,
        ..meta(Kind::File)
    };
    let existing = Meta {
        uid: 1000,
        gid: 100,
        mode: 0o755,
        ..source
    };
    assert_eq!(
        compare(&entry(source), &existing, None, &user(), Proof::default()),
        Verdict::Same
    );
    let target = Attributes::target(&source, &user());
    assert_eq!((target.uid, target.gid, target.mode), (None, None, 0o755));
    let own = Meta {
        uid: 1000,
        gid: 100,
        ..source
    };
    assert_eq!(Attributes::target(&own, &user()).mode, 0o6755);
}

#[test]
fn a_symlink_is_its_target_and_has_no_mode() {
    let mut source = entry(Meta {
        mode: 0o777,
        ..meta(Kind::Symlink)
    });
    source.target = Some((*b"there").into());
    let judge = |target: &[u8], mode| {
        compare(
            &source,
            &Meta {
                mode,
                ..source.meta
            },
            Some(target),
            &root(),
            Proof::default(),
        )
    };
    assert_eq!(judge(b"there", 0o755), Verdict::Same);
    assert_eq!(judge(b"here", 0o777), Verdict::Replace);
}

fn xattrs(pairs: &[(&str, &str)]) -> Xattrs {
    Xattrs(
        pairs
            .iter()
            .map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()))
            .collect(),
    )
}

#[test]
fn capabilities_are_set_last_and_only_with_the_owner() {
    let wanted = xattrs(&[
        ("security.capability", "c"),
        ("user.a", "1"),
        ("user.b", "2"),
    ]);
    let existing = xattrs(&[("user.b", "x"), ("user.c", "3")]);
    let ability = root();
    let changes = xattr_changes(&wanted, &existing, &ability, true);
    let set: Vec<_> = changes.set.iter().map(|(n, _)| *n).collect();
    assert_eq!(set, [&b"user.a"[..], b"user.b", b"security.capability"]);
    assert_eq!(changes.remove, [b"user.c"]);
    let changes = xattr_changes(&wanted, &existing, &ability, false);
    assert_eq!(changes.not_kept, [b"security.capability"]);
}

#[test]
fn without_special_files_set_id_bits_are_no_difference_and_existing_ones_go() {
    let plain = root().without_special_files();
    let source = Meta {
        mode: 0o6755,
        ..meta(Kind::File)
    };
    let with_mode = |mode| Meta {
        mode,
        ..meta(Kind::File)
    };
    assert_eq!(Attributes::target(&source, &plain).mode, 0o755);
    assert!(attributes_match(&source, &with_mode(0o755), &plain));
    assert!(!attributes_match(&source, &with_mode(0o6755), &plain));
    assert!(attributes_match(&source, &with_mode(0o6755), &root()));
}

#[test]
fn without_special_files_a_capability_is_never_set_and_an_existing_one_goes() {
    let plain = root().without_special_files();
    let capable = Xattrs(vec![(
        b"security.capability"[..].into(),
        b"\x01"[..].into(),
    )]);
    let bare = Xattrs::default();
    let changes = xattr_changes(&capable, &bare, &plain, true);
    assert!(changes.is_empty() && changes.not_kept.len() == 1);
    let changes = xattr_changes(&capable, &capable, &plain, true);
    assert!(changes.set.is_empty() && changes.remove.len() == 1);
}
