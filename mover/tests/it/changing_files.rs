//! Files that change while they are read: never published half old and half new, never taken for an error of
//! the destination, and the version that was there stays.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::run;
use blit_e2e::tree::Content;

use crate::blit::{blit, summary};
use crate::machine;

/// Large enough that it is written to many times while it is read once.
const SIZE: u64 = 24 << 20;

/// How a file changes all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Grows,
    Shrinks,
    IsOverwritten,
}

fn mirror(source: &Path, destination: &Path) -> Command {
    let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
    command.arg(source).arg(destination);
    command
}

/// Changes the file until it is told to stop.
fn change(file: &File, how: Change, stop: &AtomicBool) {
    let mut length = SIZE;
    while !stop.load(Ordering::Relaxed) {
        match how {
            Change::Grows => {
                file.write_all_at(b"more", length).unwrap();
                length += 4;
            }
            Change::Shrinks => {
                length = if length < SIZE / 2 { SIZE } else { length - 1 };
                file.set_len(length).unwrap();
            }
            Change::IsOverwritten => file.write_all_at(b"other", SIZE / 2).unwrap(),
        }
    }
}

#[test]
fn a_file_that_changes_each_time_it_is_read_is_not_published() {
    let _shared = machine::shared();
    // On xfs a file is cloned in one moment, so that nothing can change in between.
    let area = Area::on(FileSystem::Ext4).unwrap();
    for how in [Change::Grows, Change::Shrinks, Change::IsOverwritten] {
        let source = area.join(&format!("source-{how:?}"));
        let destination = area.join(&format!("destination-{how:?}"));
        for directory in [&source, &destination] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(source.join("quiet"), "quiet").unwrap();
        fs::write(destination.join("restless"), "old version").unwrap();
        let file = File::create_new(source.join("restless")).unwrap();
        Content::full(SIZE, 1).write(&file).unwrap();
        let stop = AtomicBool::new(false);
        let finished = std::thread::scope(|scope| {
            scope.spawn(|| change(&file, how, &stop));
            let finished = run(mirror(&source, &destination));
            stop.store(true, Ordering::Relaxed);
            finished.unwrap()
        });
        finished.expect_code(13);
        assert_eq!(summary(&finished)["unstable"], 1, "{how:?}");
        assert!(finished.stdout().contains("restless"));
        assert_eq!(
            fs::read(destination.join("restless")).unwrap(),
            b"old version"
        );
        assert_eq!(fs::read(destination.join("quiet")).unwrap(), b"quiet");
        // It came to rest.
        run(mirror(&source, &destination)).unwrap().expect_code(0);
        oracle::assert_mirrored(&source, &destination);
    }
}

#[test]
fn files_that_vanish_while_they_are_copied_are_a_note_and_no_error() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    // Listed in one piece, and read one after the other: those that are listed first wait for the large ones.
    for n in 0..900 {
        let file = File::create_new(source.join(format!("f{n}"))).unwrap();
        Content::full(100_000, n).write(&file).unwrap();
    }
    // Each moment is tried until one falls between listing and reading.
    let mut vanished = 0;
    for round in 0..20 {
        let _ = fs::remove_dir_all(&destination);
        let running = blit_e2e::process::start(mirror(&source, &destination)).unwrap();
        let begun = || destination.join(".blit").exists();
        running.wait_until("begin", begun).unwrap();
        for n in (0..900).rev().skip(round * 40).take(40) {
            fs::remove_file(source.join(format!("f{n}"))).unwrap();
        }
        let finished = running.finish().unwrap();
        finished.expect_code(0);
        vanished += summary(&finished)["vanished"].as_u64().unwrap();
        if vanished > 0 {
            break;
        }
    }
    assert!(vanished > 0, "no file was met between listing and reading");
    run(mirror(&source, &destination)).unwrap().expect_code(0);
    oracle::assert_mirrored(&source, &destination);
}
