//! Groups of hard links, and inodes of the destination that somebody else has names of.

use std::fs::{self, hard_link};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use blit_engine::run::{Operation, Options, Summary};

use crate::harness::Pair;

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn names(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().nlink()
}

fn dry_run(pair: &Pair) -> Summary {
    pair.run(Options {
        operation: Operation::Mirror,
        dry_run: true,
        ..Options::default()
    })
}

/// Mirrors after a dry run, which must have said the same.
fn mirror_as_said(pair: &Pair) -> Summary {
    let said = dry_run(pair);
    let done = pair.mirror();
    assert!(done.is_complete(), "{done:?}");
    let figures = |summary: &Summary| {
        let progress = &summary.progress;
        (
            progress.files_copied,
            progress.files_unchanged,
            progress.files_deleted,
            progress.bytes_copied,
            progress.bytes_unchanged,
        )
    };
    assert_eq!(figures(&said), figures(&done));
    assert_eq!(
        done.progress.files_total,
        done.progress.files_copied + done.progress.files_unchanged
    );
    pair.assert_mirrored();
    done
}

#[test]
fn names_wrongly_joined_at_the_destination_are_parted() {
    let pair = Pair::new();
    pair.write("a", "same content");
    pair.write("b", "same content");
    let now = std::time::SystemTime::now();
    for name in ["a", "b"] {
        let file = fs::File::options()
            .write(true)
            .open(pair.source.join(name))
            .unwrap();
        file.set_modified(now).unwrap();
    }
    pair.mirror();
    fs::remove_file(pair.destination.join("b")).unwrap();
    hard_link(pair.destination.join("a"), pair.destination.join("b")).unwrap();
    let summary = pair.mirror();
    assert!(summary.is_complete(), "{summary:?}");
    let inode = |name| fs::metadata(pair.destination.join(name)).unwrap().ino();
    assert_ne!(inode("a"), inode("b"));
    pair.assert_mirrored();
}

/// A mirrored group of `a`, `below/b` and a symbolic link likewise, with a name outside on both sides.
fn mirrored_with_names_outside() -> Pair {
    let pair = Pair::new();
    let outside = pair.source.parent().unwrap();
    pair.write("a", "content");
    symlink("nowhere", pair.source.join("link")).unwrap();
    fs::create_dir(pair.source.join("below")).unwrap();
    for (name, other, kept) in [
        ("a", "below/b", "outside-source"),
        ("link", "below/link", "outside-source-link"),
    ] {
        hard_link(pair.source.join(name), pair.source.join(other)).unwrap();
        hard_link(pair.source.join(name), outside.join(kept)).unwrap();
    }
    assert!(pair.mirror().is_complete());
    for (name, kept) in [("a", "outside"), ("link", "outside-link")] {
        hard_link(pair.destination.join(name), outside.join(kept)).unwrap();
    }
    pair
}

#[test]
fn a_group_whose_inode_has_a_name_outside_the_destination_gets_one_of_its_own() {
    let pair = mirrored_with_names_outside();
    let outside = pair.destination.parent().unwrap().join("outside");
    let times = fs::metadata(pair.destination.join("below"))
        .unwrap()
        .mtime_nsec();
    let done = mirror_as_said(&pair);
    assert_eq!(done.progress.files_copied, 4);
    for name in ["outside", "outside-link"] {
        assert_eq!(names(&outside.with_file_name(name)), 1, "{name}");
    }
    let [a, b] = ["a", "below/b"].map(|name| pair.destination.join(name));
    assert_eq!((inode(&a), names(&a)), (inode(&b), 2));
    assert_eq!(
        fs::metadata(pair.destination.join("below"))
            .unwrap()
            .mtime_nsec(),
        times
    );
    // What happens to one happens to the other no more.
    fs::write(&a, "written").unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "content");
    fs::write(&a, "content").unwrap();
    pair.mirror();
    let again = pair.mirror();
    assert_eq!(again.progress.files_copied, 0, "{again:?}");
}

#[test]
fn a_name_that_the_group_lacked_is_not_joined_to_what_somebody_else_has() {
    let pair = mirrored_with_names_outside();
    fs::remove_file(pair.destination.join("below/b")).unwrap();
    let outside = pair.destination.parent().unwrap().join("outside");
    mirror_as_said(&pair);
    assert_eq!(names(&outside), 1);
    assert_eq!(
        inode(&pair.destination.join("a")),
        inode(&pair.destination.join("below/b"))
    );
}

#[test]
fn a_copy_parts_a_group_from_a_name_of_the_destination_that_stays() {
    let pair = Pair::new();
    // Enough that in some the one is listed first, and in others the other.
    let groups: Vec<[String; 2]> = (0..16)
        .map(|n| [format!("a{n}"), format!("{n}b")])
        .collect();
    for [a, b] in &groups {
        pair.write(a, "content");
        hard_link(pair.source.join(a), pair.source.join(b)).unwrap();
    }
    assert!(pair.mirror().is_complete());
    for [a, b] in &groups {
        fs::rename(
            pair.destination.join(b),
            pair.destination.join(format!("mine-{a}")),
        )
        .unwrap();
    }
    let copied = pair.copy();
    assert!(copied.is_complete(), "{copied:?}");
    for [a, b] in &groups {
        assert_eq!(names(&pair.destination.join(format!("mine-{a}"))), 1, "{a}");
        assert_eq!(names(&pair.destination.join(a)), 2);
        assert_eq!(
            inode(&pair.destination.join(a)),
            inode(&pair.destination.join(b))
        );
    }
}

#[test]
fn a_renamed_link_costs_no_copy_because_its_old_name_is_deleted() {
    let pair = Pair::new();
    pair.write("a", "content");
    pair.write("d/keep", "");
    hard_link(pair.source.join("a"), pair.source.join("d/old")).unwrap();
    assert!(pair.mirror().is_complete());
    fs::rename(pair.source.join("d/old"), pair.source.join("d/new")).unwrap();
    let before = inode(&pair.destination.join("a"));
    let done = mirror_as_said(&pair);
    assert_eq!(
        (done.progress.bytes_copied, done.progress.files_copied),
        (0, 1)
    );
    assert_eq!(inode(&pair.destination.join("d/new")), before);
}
