//! Places that do not do what they should: parts that cannot be read, devices that are full, file systems that
//! become read-only. What can be copied is; what was there stays; the message names what is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{Finished, run, start};
use blit_e2e::tree::Content;
use serde_json::Value;

use crate::blit::{NOBODY, as_nobody, blit, summary};
use crate::machine;

fn mirror(source: &Path, destination: &Path) -> Command {
    let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
    command.arg(source).arg(destination);
    command
}

/// Asserts the exit code and that the events name all of these.
#[track_caller]
fn ended(command: Command, code: i32, named: &[&str]) -> Finished {
    let finished = run(command).unwrap();
    finished.expect_code(code);
    for name in named {
        let text = finished.stdout();
        assert!(text.contains(name), "`{name}` is not in: {text}");
    }
    finished
}

fn put(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn content(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_what_the_destination_had_stays() {
    let _shared = machine::shared();
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let destination = area.join("destination");
    let source = faulty.join("source");
    for name in ["before", "bad", "z/bad", "z/after"] {
        put(&source.join(name), "new");
    }
    put(&destination.join("bad"), "old version");
    faulty.fail(Call::Read, "bad");
    let finished = ended(
        mirror(&source, &destination),
        10,
        &["bad", "z/bad", "os error 5"],
    );
    assert_eq!(summary(&finished)["filesFailed"], 2);
    assert_eq!(content(destination.join("bad")), "old version");
    assert_eq!(content(destination.join("z/after")), "new");
    assert!(!destination.join("z/bad").exists());
    faulty.heal();
    ended(mirror(&source, &destination), 0, &[]);
    assert_same(&source, &destination);
}

#[test]
fn a_read_that_hangs_is_told_by_file_and_call_and_is_not_the_end() {
    let _shared = machine::shared();
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (faulty.join("source"), area.join("destination"));
    for name in ["below/stuck", "other"] {
        put(&source.join(name), name);
    }
    faulty.hang(Call::Read, "stuck");
    let running = start(mirror(&source, &destination)).unwrap();
    let is_slow = |line: &str| line.contains("\"type\":\"slow\"");
    let slow = running.wait_for_line("tell what is slow", is_slow).unwrap();
    assert_eq!(faulty.hanging(), 1);
    assert!(!destination.join("below/stuck").exists());
    faulty.release();
    running.finish().unwrap().expect_code(0);
    let slow: Value = serde_json::from_str(&slow.unwrap()).unwrap();
    assert_eq!(slow["call"], "read", "{slow}");
    assert_eq!(slow["path"], "below/stuck", "{slow}");
    assert_same(&source, &destination);
}

#[test]
fn below_a_directory_that_cannot_be_read_to_its_end_nothing_is_deleted() {
    let _shared = machine::shared();
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (faulty.join("source"), area.join("destination"));
    for name in ["bad/a", "bad/b", "bad/c", "bad/d", "good/a"] {
        put(&source.join(name), name);
        put(&destination.join(name), name);
    }
    for name in ["bad/extraneous", "good/extraneous"] {
        put(&destination.join(name), "extraneous");
    }
    faulty.fail(Call::ReadDirectory, "bad");
    let finished = ended(mirror(&source, &destination), 10, &["bad", "os error 5"]);
    let summary = summary(&finished);
    assert_eq!(summary["deletionsWithheld"], 1, "{summary}");
    assert_eq!(summary["filesDeleted"], 1, "{summary}");
    for name in ["a", "b", "c", "d", "extraneous"] {
        assert!(
            destination.join("bad").join(name).exists(),
            "{name} is gone"
        );
    }
    assert!(!destination.join("good/extraneous").exists());
    faulty.heal();
    ended(mirror(&source, &destination), 0, &[]);
    assert_same(&source, &destination);
}

#[test]
fn a_root_that_cannot_be_read_deletes_nothing_at_all() {
    let _shared = machine::shared();
    let faulty = Faulty::mount(Nature::default()).unwrap();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (faulty.join("source"), area.join("destination"));
    for name in ["a", "b", "c", "d"] {
        put(&source.join(name), name);
        put(&destination.join(name), name);
    }
    put(&destination.join("extraneous"), "extraneous");
    faulty.fail(Call::ReadDirectory, "source");
    let finished = run(mirror(&source, &destination)).unwrap();
    assert!(
        !matches!(finished.code, None | Some(0)),
        "{}",
        finished.stdout()
    );
    assert!(finished.stdout().contains("os error 5"));
    assert_eq!(fs::read_dir(&destination).unwrap().count(), 5);
}

#[test]
fn a_destination_that_cuts_times_is_in_step_after_one_run() {
    let _shared = machine::shared();
    for time_granule in [100, 1_000, 1_000_000, 10_000_000, 1_000_000_000] {
        let faulty = Faulty::mount(Nature {
            time_granule,
            ..Nature::default()
        })
        .unwrap();
        let area = Area::on(FileSystem::Ext4).unwrap();
        let (source, destination) = (area.join("source"), faulty.join("destination"));
        for name in ["a", "below/b", "below/deeper/c"] {
            put(&source.join(name), name);
        }
        std::os::unix::fs::symlink("a", source.join("link")).unwrap();
        // At the beginning of a second a cut leaves nothing.
        let early = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 99);
        let file = fs::File::options().write(true).open(source.join("below/b"));
        file.unwrap().set_modified(early).unwrap();
        ended(mirror(&source, &destination), 0, &[]);
        let again = ended(mirror(&source, &destination), 0, &[]);
        let summary = summary(&again);
        assert_eq!(summary["filesCopied"], 0, "{time_granule} ns: {summary}");
        assert_eq!(
            summary["metadataRepaired"], 0,
            "{time_granule} ns: {summary}"
        );
        let options = oracle::Options {
            time_granule,
            holes: false,
        };
        // rsync compares whole seconds or nanoseconds, and nothing in between.
        let found = oracle::comparer::differences(&source, &destination, &options);
        assert_eq!(found.unwrap(), []);
    }
}

#[test]
fn what_somebody_without_rights_may_not_read_is_named_and_nothing_below_it_is_lost() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    for name in ["closed/a", "file", "open/b"] {
        put(&source.join(name), name);
    }
    for name in ["closed/a", "closed/mine", "file", "open/extraneous"] {
        put(&destination.join(name), "old");
    }
    let all = [
        "",
        "closed",
        "closed/a",
        "closed/mine",
        "file",
        "open",
        "open/extraneous",
    ];
    for name in all {
        chown(destination.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for (name, mode) in [("closed", 0o000), ("file", 0o600)] {
        fs::set_permissions(source.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    chown(area.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = as_nobody(&mirror(&source, &destination), area.path());
    command.env("HOME", "/nonexistent");
    let finished = ended(command, 10, &["closed", "file", "os error 13"]);
    let summary = summary(&finished);
    assert_eq!(summary["deletionsWithheld"], 1, "{summary}");
    for name in ["closed/a", "closed/mine", "file"] {
        assert_eq!(content(destination.join(name)), "old", "{name}");
    }
    assert_eq!(content(destination.join("open/b")), "open/b");
    assert!(!destination.join("open/extraneous").exists());
}

#[test]
fn a_destination_that_becomes_read_only_ends_the_run_and_the_next_one_finishes() {
    let _shared = machine::shared();
    let here = Area::on(FileSystem::Ext4).unwrap();
    let mut there = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (here.join("source"), there.join("destination"));
    fill(&source, 40, 50, 20_000);
    let running = start(mirror(&source, &destination)).unwrap();
    let some = || fs::read_dir(&destination).is_ok_and(|entries| entries.count() > 10);
    assert!(running.wait_until("finish some directories", some).unwrap());
    there.break_down().unwrap();
    let finished = running.finish().unwrap();
    let text = finished.stdout();
    assert!(!matches!(finished.code, None | Some(0)), "{text}");
    assert!(text.contains("os error 30"), "{text}");
    assert_whole(&source, &destination);
    // An administrator looks, checks, and mounts it again.
    there.restore_power().unwrap();
    ended(mirror(&source, &destination), 0, &[]);
    oracle::assert_mirrored(&source, &destination);
}

#[test]
fn a_full_device_keeps_whole_files_only_and_can_be_mirrored_smaller() {
    let _shared = machine::shared();
    // btrfs makes none smaller.
    for (file_system, size) in [(FileSystem::Ext4, 32 << 20), (FileSystem::Btrfs, 128 << 20)] {
        let here = Area::on(FileSystem::Ext4).unwrap();
        let there = Area::of_size(file_system, size).unwrap();
        let (source, destination) = (here.join("source"), there.join("destination"));
        fill(&source, 8, 40, 500_000);
        let full = ended(mirror(&source, &destination), 20, &["full"]);
        let summary = summary(&full);
        assert!(summary["filesFailed"].as_u64() > Some(0), "{summary}");
        assert!(summary["filesCopied"].as_u64() > Some(10), "{summary}");
        assert_whole(&source, &destination);
        for d in 1..8 {
            fs::remove_dir_all(source.join(format!("d{d}"))).unwrap();
        }
        ended(mirror(&source, &destination), 0, &[]);
        oracle::assert_mirrored(&source, &destination);
    }
}

#[test]
fn a_device_that_holds_more_than_files_take_until_they_are_written_back_is_not_full() {
    let _shared = machine::shared();
    let here = Area::on(FileSystem::Ext4).unwrap();
    // Of 300 MiB, the least that xfs takes, files of 5 KiB in one directory fill two thirds; before they are written back, all of it.
    let there = Area::of_size(FileSystem::Xfs, 300 << 20).unwrap();
    let (source, destination) = (here.join("source"), there.join("destination"));
    fill(&source, 1, 15_000, 5000);
    fs::create_dir_all(destination.join("d0")).unwrap();
    ended(mirror(&source, &destination), 0, &[]);
    oracle::assert_mirrored(&source, &destination);
}

/// Makes so many directories of so many files.
fn fill(source: &Path, directories: u64, files: u64, size: u64) {
    for d in 0..directories {
        let directory = source.join(format!("d{d}"));
        fs::create_dir_all(&directory).unwrap();
        for f in 0..files {
            let file = fs::File::create_new(directory.join(format!("f{f}"))).unwrap();
            Content::full(size, d * files + f).write(&file).unwrap();
        }
    }
}

/// Asserts that every file under its final name is the source's, to the last byte.
#[track_caller]
fn assert_whole(source: &Path, destination: &Path) {
    for entry in fs::read_dir(destination).unwrap() {
        let directory = entry.unwrap().path();
        let name = directory.file_name().unwrap();
        if name.as_encoded_bytes().starts_with(b".blit") {
            continue;
        }
        for file in fs::read_dir(&directory).unwrap() {
            let file = file.unwrap().file_name();
            if file.as_encoded_bytes().starts_with(b".blit") {
                continue;
            }
            let bytes = |root: &Path| fs::read(root.join(name).join(&file)).unwrap();
            assert!(bytes(source) == bytes(destination), "{name:?}/{file:?}");
        }
    }
}

/// Asserts equal names and contents, where the judges find attributes that a file system of the test lacks.
#[track_caller]
fn assert_same(source: &Path, destination: &Path) {
    assert_eq!(files(source), files(destination));
}

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), bytes);
            }
        }
    }
    found
}
