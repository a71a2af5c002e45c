//! Names that the destination takes for one, because they differ only in case: neither takes the place of the
//! other, and what is only spelled differently is not deleted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{Finished, run};
use blit_e2e::snapshot::Snapshot;

use crate::blit::{blit, events, path_of, summary};
use crate::machine;

/// More than come in one part of a listing.
const MANY: usize = 1500;

/// Pairs of rivals among so many: hardly ever all of them come in one part each.
const PAIRS: usize = 8;

fn mirror(source: &Path, destination: &Path) -> Finished {
    with(&[], source, destination)
}

fn with(options: &[&str], source: &Path, destination: &Path) -> Finished {
    let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
    command.args(options).arg(source).arg(destination);
    run(command).unwrap()
}

/// What happens to which entry, in rsync's letters or as an error.
fn told(finished: &Finished) -> BTreeSet<(Vec<u8>, String)> {
    let events = events(finished);
    let told = events.iter().filter_map(|event| match &event["type"] {
        kind if kind == "entry" => Some((path_of(event), event["itemize"].to_string())),
        kind if kind == "error" => Some((path_of(event), event["message"].to_string())),
        _ => None,
    });
    told.collect()
}

/// Mirrors, after a dry run that must end as the run does, say the same and write nothing.
#[track_caller]
fn rehearsed(source: &Path, destination: &Path) -> Finished {
    let place = destination.parent().unwrap();
    let before = Snapshot::of(place).unwrap();
    let dry = with(&["-n"], source, destination);
    before.assert_untouched(&Snapshot::of(place).unwrap());
    let done = mirror(source, destination);
    dry.expect_code(done.code.unwrap());
    assert_eq!(told(&dry), told(&done));
    for figure in ["filesTotal", "filesFailed", "filesCopied", "filesDeleted"] {
        assert_eq!(summary(&dry)[figure], summary(&done)[figure], "{figure}");
    }
    done
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
        let finished = rehearsed(&source, &destination);
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
        let finished = rehearsed(&source, &destination);
        finished.expect_code(0);
        let summary = summary(&finished);
        assert_eq!(summary["filesDeleted"], u64::from(round == 0), "{summary}");
        assert_eq!(summary["notKept"]["case"]["count"], 2, "{summary}");
        for path in ["NAME", "DIR/file"] {
            assert_eq!(fs::read_to_string(destination.join(path)).unwrap(), "new");
        }
    }
}

/// What makes a destination of a file system that folds case.
type Place<'a> = (&'a str, Nature, &'a dyn Fn(&Faulty));

#[test]
fn a_dry_run_foresees_it_from_whatever_there_is_to_look_at() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let source = rivals(&area);
    let folds = Nature {
        folds_case: true,
        ..Nature::default()
    };
    let tells = Nature {
        tells_folding: true,
        ..folds
    };
    let places: [Place<'_>; 4] = [
        ("a name there", folds, &|at| {
            put(at.path(), "destination/other", "mine")
        }),
        ("its own name", folds, &|at| {
            fs::create_dir(at.join("destination")).unwrap()
        }),
        ("a name beside it", folds, &|at| {
            put(at.path(), "other", "mine")
        }),
        ("the flag of what is above", tells, &|_| {}),
    ];
    for (what, nature, make) in places {
        let folding = Faulty::mount(nature).unwrap();
        make(&folding);
        println!("{what}");
        rehearsed(&source, &folding.join("destination")).expect_code(10);
    }
    // Nothing is there, and nothing says it: then only the attempt does, and the guide says that.
    let folding = Faulty::mount(folds).unwrap();
    let destination = folding.join("destination");
    with(&["-n"], &source, &destination).expect_code(0);
    mirror(&source, &destination).expect_code(10);
}

#[test]
fn rivals_far_apart_in_a_long_listing_are_found_before_either_is_written() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let source = area.join("source");
    for n in 0..MANY {
        put(&source, &format!("long/{n:04}"), "x");
    }
    for n in 0..PAIRS {
        for name in [format!("long/RIVAL-{n}"), format!("long/rival-{n}")] {
            put(&source, &name, &name);
        }
    }
    // The long directory is made by the run, or is there, or is what goes into a file system with nothing in it.
    for (from, to, there) in [
        ("", "destination", None),
        ("", "destination", Some("long/rival-0")),
        ("long", "", None),
    ] {
        let folding = folding();
        let destination = folding.join(to);
        if let Some(name) = there {
            put(&destination, name, "mine");
        }
        let finished = mirror(&source.join(from), &destination);
        finished.expect_code(10);
        assert_eq!(summary(&finished)["filesFailed"], 2 * PAIRS);
        let long = destination.join(if from.is_empty() { "long" } else { "" });
        let count = MANY + usize::from(there.is_some());
        assert_eq!(fs::read_dir(&long).unwrap().count(), count);
        if let Some(name) = there {
            assert_eq!(fs::read_to_string(destination.join(name)).unwrap(), "mine");
        }
    }
}

#[test]
fn where_case_counts_such_names_are_ordinary_ones() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (rivals(&area), area.join("destination"));
    mirror(&source, &destination).expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    let before = Snapshot::of(&destination).unwrap();
    rehearsed(&source, &destination).expect_code(0);
    before.assert_untouched(&Snapshot::of(&destination).unwrap());
    fs::remove_file(source.join("Makefile")).unwrap();
    rehearsed(&source, &destination).expect_code(0);
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
    // Nothing by which it could be seen otherwise.
    put(&destination, "1", "extraneous");
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
