//! Names that the destination takes for one, because they differ only in case: neither takes the place of the
//! other, and what is only spelled differently is not deleted.

use std::fs;
use std::path::{Path, PathBuf};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{Finished, run};
use blit_e2e::snapshot::Snapshot;

use crate::blit::{blit, summary};
use crate::machine;

/// More than come in one part of a listing.
const MANY: usize = 3000;

fn mirror(source: &Path, destination: &Path) -> Finished {
    let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
    command.arg(source).arg(destination);
    run(command).unwrap()
}

fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn folding() -> Faulty {
    let nature = Nature {
        folds_case: true,
        ..Nature::default()
    };
    Faulty::mount(nature).unwrap()
}

/// A source with rivals at its top, in a directory, and of directories.
fn rivals(area: &Area) -> PathBuf {
    let source = area.join("source");
    for path in [
        "Makefile",
        "makefile",
        "ok",
        "new/README",
        "new/Readme",
        "new/ok",
        "Dir/a",
        "dir/b",
        "ÄRGER",
        "ärger",
    ] {
        put(&source, path, path);
    }
    source
}

#[test]
fn names_that_the_destination_takes_for_one_are_failed_entries_and_nothing_is_overwritten() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, folding) = (rivals(&area), folding());
    let destination = folding.join("destination");
    put(&destination, "Makefile", "mine");
    put(&destination, "dir/mine", "mine");
    for _ in 0..2 {
        let finished = mirror(&source, &destination);
        finished.expect_code(10);
        let text = finished.stdout();
        for name in [
            "Makefile",
            "makefile",
            "new/README",
            "new/Readme",
            "\"Dir\"",
            "\"dir\"",
        ] {
            assert!(text.contains(name), "{name} is not in: {text}");
        }
        assert_eq!(summary(&finished)["filesDeleted"], 0, "{text}");
        let content = |path: &str| fs::read_to_string(destination.join(path)).unwrap();
        assert_eq!(content("Makefile"), "mine");
        assert_eq!(content("dir/mine"), "mine");
        assert_eq!(
            (content("ok"), content("new/ok")),
            ("ok".into(), "new/ok".into())
        );
        for path in ["new/README", "Dir/a", "dir/b", "ärger"] {
            assert!(!destination.join(path).exists(), "{path}");
        }
    }
}

#[test]
fn a_name_that_is_only_spelled_differently_is_followed_and_not_deleted() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let folding = folding();
    let (source, destination) = (area.join("source"), folding.join("destination"));
    put(&source, "name", "new");
    put(&source, "dir/file", "new");
    put(&destination, "NAME", "old version");
    put(&destination, "DIR/file", "old version");
    put(&destination, "gone", "gone");
    for round in 0..2 {
        let finished = mirror(&source, &destination);
        finished.expect_code(0);
        let summary = summary(&finished);
        assert_eq!(summary["filesDeleted"], u64::from(round == 0), "{summary}");
        assert_eq!(summary["notKept"]["case"]["count"], 2, "{summary}");
        for path in ["NAME", "DIR/file"] {
            assert_eq!(fs::read_to_string(destination.join(path)).unwrap(), "new");
        }
    }
}

#[test]
fn rivals_far_apart_in_a_long_listing_are_found() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let folding = folding();
    let (source, destination) = (area.join("source"), folding.join("destination"));
    for n in 0..MANY {
        put(&source, &format!("long/f{n}"), "x");
    }
    for name in ["long/RIVAL", "long/rival"] {
        put(&source, name, name);
    }
    let finished = mirror(&source, &destination);
    finished.expect_code(10);
    let failed = summary(&finished)["filesFailed"].as_u64().unwrap();
    // The one that was listed in an earlier part is there, unless both came in one.
    let there = fs::read(destination.join("long/rival")).is_ok();
    assert_eq!(failed, 2 - u64::from(there));
    assert_eq!(
        fs::read_dir(destination.join("long")).unwrap().count(),
        MANY + usize::from(there)
    );
}

#[test]
fn where_case_counts_such_names_are_ordinary_ones() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (rivals(&area), area.join("destination"));
    mirror(&source, &destination).expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    let before = Snapshot::of(&destination).unwrap();
    mirror(&source, &destination).expect_code(0);
    before.assert_untouched(&Snapshot::of(&destination).unwrap());
    fs::remove_file(source.join("Makefile")).unwrap();
    mirror(&source, &destination).expect_code(0);
    oracle::assert_mirrored(&source, &destination);
}

#[test]
fn a_name_that_was_only_to_show_whether_case_is_folded_stays_ours_if_it_cannot_be_removed() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, folding) = (area.join("source"), folding());
    let destination = folding.join("destination");
    put(&source, "Makefile", "one");
    put(&source, "makefile", "other");
    put(&destination, "ok", "extraneous");
    folding.fail(Call::Unlink, ".blit.*");
    for deleted in [1, 0] {
        let finished = mirror(&source, &destination);
        finished.expect_code(10);
        assert_eq!(summary(&finished)["filesDeleted"], deleted);
        assert!(destination.join(".blit/state").exists());
    }
    folding.heal();
    let finished = mirror(&source, &destination);
    assert_eq!(summary(&finished)["filesDeleted"], 0);
    let left: Vec<_> = fs::read_dir(&destination).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
