//! Every file system, every operation, every way to get there: first, again, after an interruption. Both
//! judges after each.
//!
//! Source and destination are on the same kind of file system, so that rsync can judge its ACLs too. Only
//! what keeps whole seconds is given a source with all of them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{run, start};
use blit_e2e::seed::{self, Random};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::tree::{self, Tree};
use nix::sys::signal::Signal;

use crate::blit::{blit, summary};
use crate::machine;

/// What is asked for, the command and its options, and how it is interrupted.
const OPERATIONS: [(&[&str], Signal); 4] = [
    (&["copy"], Signal::SIGKILL),
    (&["mirror", "--max-delete", "100%"], Signal::SIGTERM),
    (&["copy", "--checksum"], Signal::SIGTERM),
    (
        &["mirror", "--max-delete", "100%", "--checksum"],
        Signal::SIGKILL,
    ),
];

/// How often an interruption is tried until it comes before the end.
const INTERRUPTIONS: usize = 20;

#[test]
fn every_operation_is_exact_on_ext4() {
    matrix(FileSystem::Ext4);
}

#[test]
fn every_operation_is_exact_on_ext4_that_keeps_whole_seconds() {
    matrix(FileSystem::Ext4WholeSeconds);
}

#[test]
fn every_operation_is_exact_on_xfs() {
    matrix(FileSystem::Xfs);
}

#[test]
fn every_operation_is_exact_on_btrfs() {
    matrix(FileSystem::Btrfs);
}

#[test]
fn every_operation_is_exact_on_tmpfs() {
    matrix(FileSystem::Tmpfs);
}

fn matrix(file_system: FileSystem) {
    let _shared = machine::shared();
    let there = Area::on(file_system).unwrap();
    let apart = match file_system {
        FileSystem::Ext4WholeSeconds => Some(Area::on(FileSystem::Ext4).unwrap()),
        _ => None,
    };
    let source = apart.as_ref().unwrap_or(&there).join("source");
    tree::build(&tree_for(file_system), &source).unwrap();
    let seed = seed::for_test();
    println!("{file_system:?}: replay with {}={seed}", seed::VARIABLE);
    let mut random = Random::new(seed);
    for (number, (operation, signal)) in OPERATIONS.into_iter().enumerate() {
        let destination = there.join(&format!("destination{number}"));
        let case = Case {
            operation,
            source: &source,
            destination: &destination,
            judged: oracle::Options {
                time_granule: file_system.time_granule(),
                ..oracle::Options::default()
            },
        };
        case.all(signal, &mut random);
    }
}

/// The tree with one of everything, without times that the file system cannot have.
fn tree_for(file_system: FileSystem) -> Tree {
    let mut tree = tree::every_kind();
    if file_system == FileSystem::Ext4WholeSeconds {
        for node in &mut tree.nodes {
            let seconds = &mut node.attributes.mtime.0;
            *seconds = (*seconds).min(i32::MAX.into());
        }
    }
    tree
}

/// One operation on one file system.
struct Case<'a> {
    operation: &'a [&'a str],
    source: &'a Path,
    destination: &'a Path,
    judged: oracle::Options,
}

impl Case<'_> {
    fn all(&self, signal: Signal, random: &mut Random) {
        let began = Instant::now();
        self.complete();
        let whole = began.elapsed();
        self.judge("fresh");
        self.repeat();
        self.interrupt(signal, whole, random);
        self.complete();
        self.judge("interrupted");
    }

    fn command(&self) -> Command {
        let mut command = blit(self.operation);
        command.arg("--json").arg(self.source).arg(self.destination);
        command
    }

    #[track_caller]
    fn complete(&self) -> serde_json::Value {
        let finished = run(self.command()).unwrap();
        finished.expect_code(0);
        summary(&finished)
    }

    #[track_caller]
    fn judge(&self, case: &str) {
        println!("{:?}, {case}", self.operation);
        oracle::assert_mirrored_within(self.source, self.destination, &self.judged);
    }

    /// Once more: nothing is to be done, and nothing is touched.
    fn repeat(&self) {
        let before = Snapshot::of(self.destination).unwrap();
        let summary = self.complete();
        for figure in ["filesCopied", "filesDeleted", "metadataRepaired"] {
            assert_eq!(summary[figure], 0, "{figure} of {summary}");
        }
        before.assert_untouched(&Snapshot::of(self.destination).unwrap());
        self.judge("repeated");
    }

    fn remove_half(&self, random: &mut Random) {
        for entry in std::fs::read_dir(self.destination).unwrap() {
            let entry = entry.unwrap();
            if random.below(2) == 0 {
                let path = entry.path();
                let removed = match entry.file_type().unwrap().is_dir() {
                    true => std::fs::remove_dir_all(path),
                    false => std::fs::remove_file(path),
                };
                removed.unwrap();
            }
        }
    }

    /// Interrupts a run that has half to do: what is there must be neither lost nor taken for the whole.
    fn interrupt(&self, signal: Signal, whole: Duration, random: &mut Random) {
        let mut latest = whole;
        for _ in 0..INTERRUPTIONS {
            self.remove_half(random);
            let running = start(self.command()).unwrap();
            running.ended_within(latest * random.below(1000) as u32 / 1000);
            running.signal(signal);
            let ended = running.finish_within(Duration::from_secs(60)).unwrap();
            println!("{signal}: code {:?}, signal {:?}", ended.code, ended.signal);
            if ended.code != Some(0) {
                return;
            }
            // It was over before: half the time next.
            latest /= 2;
        }
        panic!("no run was met by {signal} before it was over");
    }
}
