//! A large file is continued where the last run was cut off, and a large file of which a little changed is not sent
//! again: what crosses the network is counted by a relay, and what comes of it is judged as every mirror is.

mod links;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{Finished, Running, start};
use blit_e2e::tree::Content;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::Signal;

use crate::blit::summary;
use crate::large_files::{
    ENCRYPTED, FORCED, IN_HAND, LIMIT, MIB, TCP, alter, arrived, assert_nothing_is_left,
    assert_only_the_rest, holding, partials, write,
};
use crate::machine;
use crate::movers::{Job, listening_at};
use crate::relay::{OnData, Relay};

/// A file of more than a region.
const SIZE: u64 = 80 * MIB + 12_345;

/// A file with holes in several.
const WITH_HOLES: u64 = 130 * MIB + 12_345;

/// Two trees on a file system of their own, and the job that mirrors one to the other.
struct Setting {
    source: PathBuf,
    destination: PathBuf,
    job: Job,
    attempt: u32,
    /// How content travels.
    plane: &'static [&'static str],
    /// What the destination finds in its environment besides.
    variables: &'static [(&'static str, &'static str)],
    area: Area,
}

/// Two movers at work, and what is between them.
struct Movers {
    source: Running,
    destination: Running,
    relay: Relay,
}

impl Setting {
    fn new(file_system: FileSystem) -> Self {
        let area = Area::on(file_system).unwrap();
        let (source, destination) = (area.join("source"), area.join("destination"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&destination).unwrap();
        Self {
            source,
            destination,
            job: Job::new(area.path()),
            attempt: 0,
            plane: TCP,
            variables: &[],
            area,
        }
    }

    /// Starts an attempt, with a relay in between.
    fn start(&mut self, more: &[&str], on_data: Arc<OnData>) -> Movers {
        self.attempt += 1;
        let mut command = self.job.destination(self.attempt, &self.destination);
        command.args(more).envs(self.variables.iter().copied());
        let (destination, control, data) = listening_at(command);
        let relay = match self.plane {
            FORCED => Relay::to_one(control.port(), on_data),
            _ => Relay::to(control.port(), data, on_data),
        };
        let mut source = self.job.source(self.attempt, &self.source, relay.control);
        source.args(self.plane);
        Movers {
            source: start(source).unwrap(),
            destination,
            relay,
        }
    }

    /// Mirrors, judges the result, and returns how many bytes crossed the network, with the result.
    fn mirror(&mut self, more: &[&str]) -> (u64, Finished) {
        let movers = self.start(more, Arc::new(|_: &mut [u8]| ()));
        let received = movers.destination.finish_within(LIMIT).unwrap();
        received.expect_code(0);
        movers.source.finish_within(LIMIT).unwrap().expect_code(0);
        oracle::assert_mirrored(&self.source, &self.destination);
        assert_nothing_is_left(&self.destination);
        (movers.relay.passed(), received)
    }

    /// Starts an attempt, and kills one side when half of the file lies at the destination and no more comes. Returns
    /// how the other ended.
    fn killed_half_way(&mut self, more: &[&str], kills_destination: bool) -> Finished {
        let gate = Arc::default();
        let (on_data, held) = holding(SIZE / 2, &gate);
        let movers = self.start(more, on_data);
        held.recv_timeout(LIMIT).unwrap();
        let there = || arrived(&self.destination) >= SIZE / 2 - IN_HAND;
        assert!(movers.destination.wait_until("write half", there).unwrap());
        let (killed, other) = match kills_destination {
            true => (movers.destination, movers.source),
            false => (movers.source, movers.destination),
        };
        killed.signal(Signal::SIGKILL);
        killed.finish_within(LIMIT).unwrap();
        gate.open();
        other.finish_within(LIMIT).unwrap()
    }
}

#[test]
fn a_killed_destination_is_continued_in_the_middle_of_a_file() {
    let _shared = machine::shared();
    let mut setting = Setting::new(FileSystem::Ext4);
    // In a directory that is new as well: that one has a temporary name while it is made.
    fs::create_dir(setting.source.join("new")).unwrap();
    write(&setting.source.join("new/large"), &Content::full(SIZE, 1));
    fs::write(setting.source.join("small"), "small").unwrap();
    setting.killed_half_way(&[], true).expect_code(30);
    assert!(!setting.destination.join("new/large").exists());
    let (sent, received) = setting.mirror(&[]);
    assert_only_the_rest(SIZE, sent);
    assert_only_the_rest(SIZE, summary(&received)["bytesSent"].as_u64().unwrap());
}

#[test]
fn a_killed_source_is_continued_too_and_proven() {
    let _shared = machine::shared();
    let mut setting = Setting::new(FileSystem::Tmpfs);
    write(&setting.source.join("large"), &Content::full(SIZE, 2));
    setting
        .killed_half_way(&["--verify"], false)
        .expect_code(30);
    assert_eq!(partials(&setting.destination).len(), 1);
    let (sent, received) = setting.mirror(&["--verify"]);
    assert_only_the_rest(SIZE, sent);
    assert_eq!(summary(&received)["verification"]["mismatches"], 0);
}

/// What is killed half way is continued, and what changed a little is sent by blocks, both proven, however content travels.
fn continued_compared_and_proven(plane: &'static [&'static str], transport: &str) {
    let mut setting = Setting::new(FileSystem::Tmpfs);
    setting.plane = plane;
    let large = setting.source.join("large");
    write(&large, &Content::full(SIZE, 2));
    for n in 0..100_u8 {
        fs::write(setting.source.join(format!("small{n}")), vec![n; 3000]).unwrap();
    }
    setting.killed_half_way(&["--verify"], true).expect_code(30);
    let (sent, received) = setting.mirror(&["--verify"]);
    assert_only_the_rest(SIZE, sent);
    let told = summary(&received);
    assert_eq!(told["verification"]["mismatches"], 0, "{told}");
    assert_eq!(told["transport"], transport, "{told}");
    let changed = change_a_little(&large);
    let (sent, received) = setting.mirror(&["--verify"]);
    assert!(sent < 2 * changed, "{sent} bytes were sent");
    let told = summary(&received);
    assert_eq!(told["verification"]["mismatches"], 0, "{told}");
    assert_eq!(told["transport"], transport, "{told}");
}

#[test]
fn inside_grpc_large_files_are_continued_compared_and_proven_too() {
    let _shared = machine::shared();
    continued_compared_and_proven(FORCED, "GRPC");
}

#[test]
fn inside_tls_large_files_are_continued_compared_and_proven_too() {
    let _shared = machine::shared();
    continued_compared_and_proven(ENCRYPTED, "TCP");
}

#[test]
fn a_file_that_changed_in_between_comes_whole_and_the_old_version_stays_until_then() {
    let _shared = machine::shared();
    let mut setting = Setting::new(FileSystem::Tmpfs);
    let (large, there) = (
        setting.source.join("large"),
        setting.destination.join("large"),
    );
    write(&large, &Content::full(SIZE, 3));
    fs::write(&there, "the old version").unwrap();
    setting.killed_half_way(&[], true);
    assert_eq!(fs::read_to_string(&there).unwrap(), "the old version");
    // Of the same length, so that nothing but the time tells.
    write(&large, &Content::full(SIZE, 4));
    let (sent, _) = setting.mirror(&[]);
    assert!(sent >= SIZE, "only {sent} bytes were sent");
}

#[test]
fn what_somebody_did_to_the_begun_file_is_noticed() {
    let _shared = machine::shared();
    let mut setting = Setting::new(FileSystem::Ext4);
    write(&setting.source.join("large"), &Content::full(SIZE, 5));
    setting.killed_half_way(&[], false);
    let begun = partials(&setting.destination).remove(0);
    let modified = begun.metadata().unwrap().modified().unwrap();
    alter(&begun, 0, 1);
    alter(&begun, 10 * MIB + 7, 100_000);
    // Longer than it will be, too.
    let file = OpenOptions::new().write(true).open(&begun).unwrap();
    file.write_all_at(b"behind the end", SIZE + 4096).unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    let (sent, _) = setting.mirror(&[]);
    assert_only_the_rest(SIZE, sent);
}

#[test]
fn a_source_that_changed_and_does_not_show_it_is_brought_as_it_is_now() {
    let _shared = machine::shared();
    let mut setting = Setting::new(FileSystem::Tmpfs);
    let large = setting.source.join("large");
    write(&large, &Content::full(SIZE, 10));
    setting.killed_half_way(&[], false);
    let modified = large.metadata().unwrap().modified().unwrap();
    // In what has come, and in what has not.
    alter(&large, MIB + 5, 1);
    alter(&large, SIZE - MIB, 1);
    let file = OpenOptions::new().write(true).open(&large).unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    let (sent, _) = setting.mirror(&[]);
    assert_only_the_rest(SIZE, sent);
}

/// Changes a little of a large file in all ways, and returns how many bytes are other ones.
fn change_a_little(large: &Path) -> u64 {
    // Not on borders of blocks.
    for n in 0..8 {
        alter(large, n * 9 * MIB + 1000 * n + 1, MIB);
    }
    // It has grown, too.
    let file = OpenOptions::new().write(true).open(large).unwrap();
    file.write_all_at(&vec![7; MIB as usize], SIZE).unwrap();
    9 * MIB
}

fn little_is_sent(file_system: FileSystem, more: &[&str]) {
    let mut setting = Setting::new(file_system);
    let large = setting.source.join("large");
    write(&large, &Content::full(SIZE, 6));
    let (first, _) = setting.mirror(more);
    assert!(first > SIZE);
    let changed = change_a_little(&large);
    let (sent, received) = setting.mirror(more);
    // As 64 MiB of 4 GiB, which may cost 128.
    assert!(
        sent < 2 * changed,
        "{sent} bytes were sent on {file_system:?}"
    );
    // What the summary says is what crossed the network, but for frames.
    let said = summary(&received)["bytesSent"].as_u64().unwrap();
    assert!(said <= sent && sent - said < MIB, "{said} of {sent}");
}

#[test]
fn of_a_large_file_what_changed_is_sent_where_blocks_are_shared() {
    let _shared = machine::shared();
    little_is_sent(FileSystem::Xfs, &[]);
}

#[test]
fn of_a_large_file_what_changed_is_sent_where_blocks_are_copied_and_proven() {
    let _shared = machine::shared();
    little_is_sent(FileSystem::Ext4, &["--verify"]);
}

/// Writes to the old version while blocks are taken over from it.
fn the_old_version_changes(file_system: FileSystem) {
    let mut setting = Setting::new(file_system);
    let (large, there) = (
        setting.source.join("large"),
        setting.destination.join("large"),
    );
    write(&large, &Content::full(SIZE, 11));
    setting.mirror(&[]);
    alter(&large, 3, 4 * MIB);
    alter(&large, 70 * MIB, MIB);
    let gate = Arc::default();
    // More than tokens and samples: held are the hashes without which nothing is taken over.
    let (on_data, held) = holding(24 << 10, &gate);
    let movers = setting.start(&[], on_data);
    held.recv_timeout(LIMIT).unwrap();
    for at in (0..80).map(|n| n * MIB + 77) {
        alter(&there, at, 1);
    }
    gate.open();
    let received = movers.destination.finish_within(LIMIT).unwrap();
    received.expect_code(0);
    movers.source.finish_within(LIMIT).unwrap().expect_code(0);
    oracle::assert_mirrored(&setting.source, &setting.destination);
    assert!(movers.relay.passed() < SIZE, "the file came whole");
}

#[test]
fn an_old_version_that_is_written_to_meanwhile_spoils_nothing() {
    let _shared = machine::shared();
    the_old_version_changes(FileSystem::Xfs);
    the_old_version_changes(FileSystem::Tmpfs);
}

#[test]
fn a_file_that_is_another_one_is_not_compared() {
    let _shared = machine::shared();
    let mut setting = Setting::new(FileSystem::Tmpfs);
    let large = setting.source.join("large");
    write(&large, &Content::full(SIZE, 7));
    setting.mirror(&[]);
    write(&large, &Content::full(SIZE, 8));
    let (_, received) = setting.mirror(&[]);
    // The hashes of sixteen blocks, and nothing more.
    let said = summary(&received)["bytesSent"].as_u64().unwrap();
    assert_eq!(said, SIZE + 16 * 32);
}

/// Makes holes, fills some, and moves others.
fn change_holes(large: &Path) {
    let file = OpenOptions::new().write(true).open(large).unwrap();
    let punch = |offset: u64, length: u64| {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(&file, flags, offset as i64, length as i64).unwrap();
    };
    // Whole blocks, a part of one, and a region.
    punch(3 * MIB, MIB);
    punch(5 * MIB + 8192, 8192);
    punch(64 * MIB, 64 * MIB);
    // Zeros where there was something else, and data where there was nothing.
    file.write_all_at(&vec![0; MIB as usize], 20 * MIB).unwrap();
    file.write_all_at(&[9; 4096], 129 * MIB).unwrap();
    file.write_all_at(&[9; 4096], 130 * MIB - 8192).unwrap();
}

fn holes_are_kept(file_system: FileSystem) {
    let mut setting = Setting::new(file_system);
    let large = setting.source.join("large");
    write(&large, &Content::full(72 * MIB, 9));
    let file = OpenOptions::new().write(true).open(&large).unwrap();
    file.set_len(WITH_HOLES).unwrap();
    setting.mirror(&[]);
    change_holes(&large);
    let (sent, _) = setting.mirror(&[]);
    assert!(sent < 8 * MIB, "{sent} bytes were sent on {file_system:?}");
}

#[test]
fn holes_are_kept_where_blocks_are_shared_and_where_they_are_copied() {
    let _shared = machine::shared();
    holes_are_kept(FileSystem::Xfs);
    holes_are_kept(FileSystem::Tmpfs);
}
