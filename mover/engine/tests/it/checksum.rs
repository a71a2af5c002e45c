//! Comparing by content: what is found, what is repaired, what is left alone.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use blit_engine::run::{Operation, Options, Summary};

use crate::harness::Pair;

fn checksum(pair: &Pair) -> Summary {
    let summary = pair.run(Options {
        operation: Operation::Mirror,
        checksum: true,
        ..Options::default()
    });
    assert!(summary.is_complete(), "{summary:?}");
    pair.assert_mirrored();
    summary
}

/// Changes a byte of a file and nothing that `stat` shows but the time of the inode's change.
pub(crate) fn alter_a_byte(path: &Path, at: u64) {
    let mtime = path.metadata().unwrap().modified().unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(mtime).unwrap();
}

#[test]
fn an_altered_byte_with_the_same_size_and_time_is_found_and_repaired() {
    let pair = Pair::new();
    let long = "x".repeat(3_000_000);
    for name in ["first", "middle", "last", "kept"] {
        pair.write(name, &long);
    }
    pair.write("small", "abc");
    pair.mirror();
    alter_a_byte(&pair.destination.join("first"), 0);
    alter_a_byte(&pair.destination.join("middle"), 1_500_000);
    alter_a_byte(&pair.destination.join("last"), 2_999_999);
    alter_a_byte(&pair.destination.join("small"), 1);

    // Size and time do not tell.
    assert_eq!(pair.mirror().progress.files_copied, 0);
    let progress = checksum(&pair).progress;
    assert_eq!((progress.files_copied, progress.files_unchanged), (4, 1));
    assert_eq!(progress.bytes_copied, 9_000_003);
}

#[test]
fn nothing_changed_copies_nothing_and_touches_nothing() {
    let pair = Pair::new();
    pair.write("a", "content");
    pair.write("sub/empty", "");
    std::fs::hard_link(pair.source.join("a"), pair.source.join("sub/b")).unwrap();
    pair.mirror();
    let changed = |path: &str| {
        let meta = pair.destination.join(path).metadata().unwrap();
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    let paths = ["", "a", "sub", "sub/b", "sub/empty"];
    let before = paths.map(changed);
    for _ in 0..2 {
        let summary = checksum(&pair);
        assert_eq!(summary.progress.files_copied, 0);
        assert_eq!(summary.progress.files_unchanged, 3);
        assert_eq!(summary.metadata_repaired, 0);
        // One of the two names is enough to know the content of both.
        assert_eq!(summary.progress.bytes_compared, 7);
        assert_eq!(before, paths.map(changed));
    }
}

#[test]
fn the_same_content_with_other_attributes_is_repaired_without_data() {
    let pair = Pair::new();
    pair.write("time", "content");
    pair.write("mode", "content");
    pair.mirror();
    let (time, mode) = (pair.destination.join("time"), pair.destination.join("mode"));
    let inodes = || [&time, &mode].map(|path| path.metadata().unwrap().ino());
    let before = inodes();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let file = File::options().write(true).open(&time).unwrap();
    file.set_modified(yesterday).unwrap();
    std::fs::set_permissions(&mode, std::fs::Permissions::from_mode(0o600)).unwrap();

    let summary = checksum(&pair);
    assert_eq!(summary.metadata_repaired, 2);
    assert_eq!(summary.progress.files_copied, 0);
    assert_eq!(summary.progress.bytes_copied, 0);
    assert_eq!(before, inodes());
}

#[test]
fn a_link_group_with_an_altered_byte_becomes_a_new_inode_under_all_its_names() {
    let pair = Pair::new();
    pair.write("a", "content");
    for name in ["b", "c"] {
        std::fs::hard_link(pair.source.join("a"), pair.source.join(name)).unwrap();
    }
    pair.mirror();
    alter_a_byte(&pair.destination.join("b"), 3);
    checksum(&pair);
    let inode = |name: &str| pair.destination.join(name).metadata().unwrap().ino();
    assert_eq!((inode("a"), inode("a")), (inode("b"), inode("c")));
    assert_eq!(
        std::fs::read(pair.destination.join("c")).unwrap(),
        b"content"
    );
}

#[test]
fn a_name_that_left_its_link_group_and_kept_its_content_joins_it_again() {
    let pair = Pair::new();
    pair.write("a", "content");
    for name in ["b", "c"] {
        std::fs::hard_link(pair.source.join("a"), pair.source.join(name)).unwrap();
    }
    pair.mirror();
    for name in ["a", "b", "c"] {
        let path = pair.destination.join(name);
        let mtime = path.metadata().unwrap().modified().unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "content").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(mtime).unwrap();
    }
    let summary = checksum(&pair);
    // One of the three leads as it is.
    assert_eq!(summary.progress.files_unchanged, 1);
    assert_eq!(summary.progress.bytes_copied, 0);
    let nlink = |name: &str| pair.destination.join(name).metadata().unwrap().nlink();
    assert_eq!(["a", "b", "c"].map(nlink), [3, 3, 3]);
}

#[test]
fn a_hole_and_its_zeros_are_the_same_content() {
    let pair = Pair::new();
    let length = 64 << 20;
    for root in [&pair.source, &pair.destination] {
        let file = File::create(root.join("image")).unwrap();
        file.set_len(length).unwrap();
        file.write_all_at(b"data", 40 << 20).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let there = File::options()
        .write(true)
        .open(pair.destination.join("image"))
        .unwrap();
    there.write_all_at(&[0; 4096], 10 << 20).unwrap();
    there.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(checksum(&pair).progress.files_copied, 0);
    alter_a_byte(&pair.destination.join("image"), 60 << 20);
    assert_eq!(checksum(&pair).progress.files_copied, 1);
}
