//! Runs that stand still, and runs that only look like it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::start;
use serde_json::Value;

use crate::blit::{Mirror, Way, summary};
use crate::machine;

/// Makes the queue of a debug build keep what it gets.
pub(crate) const BLOCK_QUEUE: &str = "BLIT_TEST_BLOCK_QUEUE";

/// How long all are idle before a run counts as stalled.
const IDLE: Duration = Duration::from_secs(10);

/// As [`IDLE`], with what comes before and after: between hosts data streams are opened and the source says what it does twice a second,
/// everywhere the run is looked at as often, and its end is told.
const AT_MOST: Duration = Duration::from_secs(12);

/// A frozen file system that is also seen at another place: whoever writes there hangs in the call until it is dropped.
struct Frozen<'a> {
    area: &'a Area,
    place: &'a Path,
}

impl<'a> Frozen<'a> {
    fn at(area: &'a Area, place: &'a Path) -> Self {
        tool(
            Command::new("mount")
                .arg("--bind")
                .arg(area.path())
                .arg(place),
        );
        let frozen = Self { area, place };
        tool(Command::new("fsfreeze").arg("-f").arg(area.path()));
        frozen
    }

    fn thaw(&self) {
        tool(Command::new("fsfreeze").arg("-u").arg(self.area.path()));
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Frozen or not, also where the test has failed.
        let thawed = Command::new("fsfreeze")
            .arg("-u")
            .arg(self.area.path())
            .output();
        drop(thawed);
        tool(Command::new("umount").arg("-l").arg(self.place));
    }
}

#[track_caller]
fn tool(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {done:?}");
}

/// Runs with the queue of a side blocked and returns the message.
fn stalls(way: Way, side: &str, files: usize) -> String {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    for n in 0..files {
        fs::write(source.join(format!("file-{n}")), "content").unwrap();
    }
    let mirror = Mirror {
        way,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let mut command = mirror.command();
    command.env(BLOCK_QUEUE, side);
    let summary = expect_stall(command);
    summary["message"].as_str().unwrap().to_owned()
}

/// Runs a command whose sides are idle from its beginning on: it must end with the exit code for that, and in time. Returns the
/// summary.
pub(crate) fn expect_stall(command: Command) -> Value {
    let started = Instant::now();
    let running = start(command).unwrap();
    // How long programs take to start, and to meet, is the machine's affair.
    let is_phase = |line: &str| line.contains("\"type\":\"phase\"");
    running.wait_for_line("begin", is_phase).unwrap();
    let begun = Instant::now();
    let finished = running.finish_within(Duration::from_secs(60)).unwrap();
    let (all, took) = (started.elapsed(), begun.elapsed());
    finished.expect_code(40);
    let summary = summary(&finished);
    assert_eq!(summary["result"], "Stalled", "{summary}");
    assert!(all >= IDLE, "it took {all:?}: {summary}");
    assert!(took < AT_MOST, "it took {took:?}: {summary}");
    summary
}

#[test]
fn a_local_run_whose_queue_is_blocked_ends_with_40_and_names_what_was_waited_for() {
    let _shared = machine::shared();
    let message = stalls(Way::Local, "destination", 3);
    assert!(
        message.contains("a turn at the queue, which holds")
            && message.contains("3 files, the first file-"),
        "{message}"
    );
}

#[test]
fn movers_whose_queue_is_blocked_end_with_40_and_say_what_both_waited_for() {
    let _shared = machine::shared();
    let message = stalls(Way::Run, "destination", 3);
    assert!(
        message.contains("a turn at the queue, which holds")
            && message.contains("the source waited for files to be asked for"),
        "{message}"
    );
}

#[test]
fn movers_of_which_the_source_sends_nothing_end_with_40_and_say_what_both_waited_for() {
    let _shared = machine::shared();
    let message = stalls(Way::Run, "source", 3);
    assert!(
        message.contains("content of 3 files from the source, the oldest file-")
            && message.contains("the source waited for a turn at its queue, which holds 3 files"),
        "{message}"
    );
}

#[test]
fn a_run_whose_queue_is_full_to_the_brim_ends_with_40_too() {
    let _shared = machine::shared();
    // More than the queue takes, so that workers have some in hand as well.
    let message = stalls(Way::Local, "destination", 20_000);
    assert!(
        message.contains("a turn at the queue, which holds"),
        "{message}"
    );
}

#[test]
fn a_call_that_hangs_is_a_slow_event_and_not_the_end() {
    let _shared = machine::shared();
    let (area, hanging) = (
        Area::on(FileSystem::Ext4).unwrap(),
        Area::on(FileSystem::Ext4).unwrap(),
    );
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("below/hangs"), "content").unwrap();
    let below = destination.join("below");
    fs::create_dir_all(&below).unwrap();
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let frozen = Frozen::at(&hanging, &below);
    let running = start(mirror.command()).unwrap();
    let begun = Instant::now();
    let is_slow = |line: &str| line.contains("\"type\":\"slow\"");
    let slow = running.wait_for_line("tell what is slow", is_slow).unwrap();
    let took = begun.elapsed();
    frozen.thaw();
    let finished = running.finish().unwrap();
    finished.expect_code(0);
    let slow: Value = serde_json::from_str(&slow.unwrap()).unwrap();
    assert_eq!(slow["call"], "open", "{slow}");
    let path = slow["path"].as_str().unwrap();
    assert!(path.starts_with("below/"), "{slow}");
    let soon = Duration::from_secs(10)..Duration::from_secs(14);
    assert!(soon.contains(&took), "told after {took:?}");
    let all = finished.stdout();
    assert_eq!(all.lines().filter(|line| is_slow(line)).count(), 1, "{all}");
    oracle::assert_mirrored(&source, &destination);
}

/// A source on a file system of the test, and the events of a mirror of it that ends well.
fn mirrored_from(way: Way, faulty: &Faulty, meanwhile: impl FnOnce(&dyn Fn() -> Value)) -> String {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let destination = area.join("destination");
    let mirror = Mirror {
        way,
        source: faulty.path(),
        destination: &destination,
        work: area.path(),
    };
    let running = start(mirror.command()).unwrap();
    let slow = || {
        let is_slow = |line: &str| line.contains("\"type\":\"slow\"");
        let line = running.wait_for_line("tell what is slow", is_slow).unwrap();
        serde_json::from_str(&line.unwrap()).unwrap()
    };
    meanwhile(&slow);
    let finished = running.finish().unwrap();
    finished.expect_code(0);
    faulty.heal();
    oracle::assert_mirrored(faulty.path(), &destination);
    finished.stdout()
}

#[test]
fn a_read_that_hangs_is_a_slow_event_that_names_file_and_call() {
    let _shared = machine::shared();
    let faulty = Faulty::mount(Nature::default()).unwrap();
    fs::create_dir(faulty.join("below")).unwrap();
    fs::write(faulty.join("below/hangs"), "content").unwrap();
    faulty.hang(Call::Read, "hangs");
    mirrored_from(Way::Local, &faulty, |slow| {
        let begun = Instant::now();
        let slow = slow();
        assert!(begun.elapsed() < Duration::from_secs(14), "it came late");
        assert_eq!(slow["call"], "read", "{slow}");
        assert_eq!(slow["path"], "below/hangs", "{slow}");
        faulty.release();
    });
}

/// Mirrors from a source that brings a kilobyte a second: no call of it is called slow.
fn a_kilobyte_a_second(way: Way) {
    let faulty = Faulty::mount(Nature::default()).unwrap();
    fs::write(faulty.join("file"), [7; 13 * 1024]).unwrap();
    faulty.throttle(1024);
    let begun = Instant::now();
    let events = mirrored_from(way, &faulty, |_| ());
    assert!(
        begun.elapsed() >= Duration::from_secs(13),
        "it was not slow"
    );
    assert!(!events.contains("\"type\":\"slow\""), "{events}");
}

#[test]
fn a_source_of_a_kilobyte_a_second_neither_hangs_nor_stands_still() {
    let _shared = machine::shared();
    a_kilobyte_a_second(Way::Local);
}

#[test]
fn a_source_of_a_kilobyte_a_second_is_not_called_slow_between_movers() {
    let _shared = machine::shared();
    a_kilobyte_a_second(Way::Run);
}
