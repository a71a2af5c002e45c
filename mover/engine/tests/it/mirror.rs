//! What a mirror and a copy promise.

use std::os::unix::fs::symlink;

use blit_engine::plan::guard::Refusal;
use blit_engine::run::{MaxDelete, Operation, Options};

use crate::harness::Pair;

#[test]
fn a_tree_arrives_whole_and_a_second_run_has_nothing_to_do() {
    let pair = Pair::new();
    for d in 0..20 {
        for f in 0..40 {
            pair.write(&format!("d{d}/e{}/f{f}", d % 3), &"x".repeat(f * 100));
        }
    }
    symlink("d1/e1", pair.source.join("link")).unwrap();
    std::fs::hard_link(pair.source.join("d0/e0/f5"), pair.source.join("d9/hard")).unwrap();
    let first = pair.mirror();
    assert!(first.is_complete(), "{first:?}");
    assert_eq!(first.progress.files_total, 802);
    assert_eq!(first.progress.files_copied, 802);
    pair.assert_mirrored();
    let second = pair.mirror();
    assert!(second.is_complete(), "{second:?}");
    assert_eq!(
        (second.progress.files_copied, second.metadata_repaired),
        (0, 0)
    );
    assert_eq!(second.progress.files_unchanged, 802);
    assert!(!pair.destination.join(".blit").exists());
}

#[test]
fn a_mirror_deletes_what_the_source_does_not_have_and_a_copy_does_not() {
    let pair = Pair::new();
    pair.write("keep", "1");
    pair.write_destination("keep", "old");
    pair.write_destination("gone/below/deep", "2");
    pair.write_destination("gone2", "2");
    let copied = pair.copy();
    assert!(copied.is_complete(), "{copied:?}");
    assert!(pair.destination.join("gone/below/deep").exists());
    let mirrored = pair.mirror();
    assert!(mirrored.is_complete(), "{mirrored:?}");
    assert_eq!(mirrored.progress.files_deleted, 4);
    pair.assert_mirrored();
}

#[test]
fn kinds_change_into_each_other() {
    let pair = Pair::new();
    pair.write("same", "");
    pair.write("was-dir", "now a file");
    pair.write("was-file/inner", "now a directory");
    symlink("x", pair.source.join("was-dir-too")).unwrap();
    pair.write_destination("same", "");
    pair.write_destination("was-dir/a/b", "");
    pair.write_destination("was-file", "");
    pair.write_destination("was-dir-too/c", "");
    let refused = pair.run(Options {
        max_delete: Some(MaxDelete::Count(0)),
        ..mirror()
    });
    assert!(matches!(
        refused.refusal,
        Some(Refusal::MaxDeleteExceeded { deletions: 5, .. })
    ));
    assert!(pair.destination.join("was-dir/a/b").exists());
    let copied = pair.copy();
    assert_eq!(copied.progress.files_failed, 2, "{copied:?}");
    let mirrored = pair.mirror();
    assert!(mirrored.is_complete(), "{mirrored:?}");
    pair.assert_mirrored();
}

#[test]
fn an_empty_source_is_refused_and_nothing_is_lost() {
    let pair = Pair::new();
    pair.write_destination("precious", "1");
    let refused = pair.mirror();
    assert_eq!(refused.refusal, Some(Refusal::SourceEmpty));
    assert!(pair.destination.join("precious").exists());
    let allowed = pair.run(Options {
        allow_empty_source: true,
        ..mirror()
    });
    assert!(allowed.is_complete(), "{allowed:?}");
    assert!(!pair.destination.join("precious").exists());
}

#[test]
fn what_a_killed_run_left_is_used_or_removed_and_foreign_names_are_kept() {
    let pair = Pair::new();
    pair.write("dir/file", "content");
    pair.write("dir/second", "content");
    std::fs::create_dir(pair.destination.join(".blit")).unwrap();
    let state =
        r#"{"version":1,"runId":"abcdefghijkl","bootId":"","startedSeconds":0,"source":"x"}"#;
    std::fs::write(pair.destination.join(".blit/state"), state).unwrap();
    let left = blit_engine::plan::names::directory_name("abcdefghijkl", b"dir");
    let left = pair.destination.join(String::from_utf8(left).unwrap());
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("file"), "half").unwrap();
    std::fs::write(left.join("removed-since"), "x").unwrap();
    pair.write_destination(".blit.abcdefghijkl7.tmp", "left over");
    pair.write_destination(".blit.zzzzzzzzzzzz7.tmp", "user data");
    let summary = pair.copy();
    assert!(summary.is_complete(), "{summary:?}");
    let user_data = pair.destination.join(".blit.zzzzzzzzzzzz7.tmp");
    assert_eq!(std::fs::read_to_string(user_data).unwrap(), "user data");
    pair.mirror();
    pair.assert_mirrored();
}

#[test]
fn a_second_run_on_a_destination_in_use_is_refused() {
    let pair = Pair::new();
    pair.write("file", "content");
    std::fs::create_dir(pair.destination.join(".blit")).unwrap();
    let lock = std::fs::File::create(pair.destination.join(".blit/lock")).unwrap();
    lock.lock().unwrap();
    let summary = pair.copy();
    assert!(
        summary
            .fatal
            .unwrap()
            .to_string()
            .starts_with("another run is writing")
    );
    assert!(!pair.destination.join("file").exists());
}

fn mirror() -> Options {
    Options {
        operation: Operation::Mirror,
        ..Options::default()
    }
}

#[test]
fn the_top_is_listed_before_anything_below_it() {
    use blit_engine::entry::DirId;
    use blit_engine::run::{Listing, Next};
    use blit_engine::tree::{LocalSource, ScanOptions};

    let pair = Pair::new();
    for d in 0..3000 {
        std::fs::create_dir(pair.source.join(format!("d{d}"))).unwrap();
    }
    let source = LocalSource::open(&pair.source, ScanOptions::default()).unwrap();
    let mut parts = 0;
    loop {
        match source.next(std::time::Duration::ZERO).unwrap() {
            Next::Part(part) => {
                assert_eq!(part.dir, DirId::ROOT);
                parts += 1;
                if part.end.is_some() {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(parts > 1, "a directory of 3,000 entries must come in parts");
}

#[test]
fn removing_what_a_killed_run_left_does_not_change_the_times_of_directories() {
    let pair = Pair::new();
    pair.write("dir/file", "content");
    assert!(pair.mirror().is_complete());
    std::fs::create_dir(pair.destination.join(".blit")).unwrap();
    let state =
        r#"{"version":1,"runId":"abcdefghijkl","bootId":"","startedSeconds":0,"source":"x"}"#;
    std::fs::write(pair.destination.join(".blit/state"), state).unwrap();
    pair.write_destination("dir/.blit.abcdefghijkl7.tmp", "left over");
    assert!(pair.mirror().is_complete());
    assert!(
        !pair
            .destination
            .join("dir/.blit.abcdefghijkl7.tmp")
            .exists()
    );
    pair.assert_mirrored();
}
