//! Files that change while they are read: never published half old and half new, never taken for an error of
//! the destination, and the version that was there stays.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{run, start};
use blit_e2e::tree::Content;

use crate::blit::{Mirror, Way, blit, summary};
use crate::machine;

/// Large enough that it is written to many times while it is read once.
const SIZE: u64 = 64 << 20;

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

/// The same command for who has the processor last: on a busy machine, whoever changes the file must have its turn while
/// the file is read.
fn unhurried(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program());
    nice.args(command.get_args());
    nice
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
    // Within one file system a file may be cloned in one moment, so that nothing can change in between; and a change on a disk may
    // wait for the journal for as long as it takes to read the file.
    for how in [Change::Grows, Change::Shrinks, Change::IsOverwritten] {
        let memory = Area::on(FileSystem::Tmpfs).unwrap();
        let disk = Area::on(FileSystem::Ext4).unwrap();
        let (source, destination) = (memory.join("source"), disk.join("destination"));
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
            let finished = run(unhurried(&mirror(&source, &destination)));
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
        let running = start(mirror(&source, &destination)).unwrap();
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

/// Waits for a second of the clock to begin, also of the slower clock that stamps files.
fn next_second() {
    let fraction = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Duration::from_nanos(u64::from(now.subsec_nanos()))
    };
    std::thread::sleep(Duration::from_millis(1030).saturating_sub(fraction()));
}

/// Changes a file in the second in which it was made, if possible after it was copied, and mirrors twice. Returns false if that
/// second was over too soon.
fn mirrors_a_hidden_change(area: &Area, way: Way, round: u32) -> bool {
    let place = area.join(&format!("{way:?}-{round}"));
    let [source, destination] = ["source", "destination"].map(|name| place.join(name));
    for directory in [&source, &destination] {
        fs::create_dir_all(directory).unwrap();
    }
    let mirror = Mirror {
        way,
        source: &source,
        destination: &destination,
        work: &place,
    };
    next_second();
    let file = source.join("file");
    fs::write(&file, "before").unwrap();
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    let running = start(mirror.command()).unwrap();
    let until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < until && !destination.join("file").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(&file, "after.").unwrap();
    let hidden = fs::metadata(&file).unwrap().modified().unwrap() == written;
    running.finish().unwrap().expect_code(0);
    // What this takes for unchanged it does not look at.
    mirror.complete();
    let copied = fs::read_to_string(destination.join("file")).unwrap();
    assert_eq!(copied, "after.", "{way:?}");
    hidden
}

#[test]
fn a_change_in_the_second_in_which_a_file_was_read_is_not_missed() {
    let _shared = machine::shared();
    // Keeps whole seconds: before and after the change, the file has the same length and the same times.
    let area = Area::on(FileSystem::Ext4WholeSeconds).unwrap();
    std::thread::scope(|scope| {
        for way in [Way::Local, Way::Run] {
            let area = &area;
            scope.spawn(move || {
                let hidden = (0..5).any(|round| mirrors_a_hidden_change(area, way, round));
                assert!(hidden, "each change came too late to be hidden");
            });
        }
    });
}
