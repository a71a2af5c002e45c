//! Attempts of one job as processes: one that was stopped for a while and wakes up writes nothing any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use blit_crds::outcome::ExitCode;
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{Running, run, start};
use nix::sys::signal::Signal;

use crate::machine;
use crate::movers::{Job, listening};

/// Files of the source: enough that a mover is met in the middle of them.
const FILES: usize = 20_000;

/// Entries that can be under way when a mover is stopped: one for each thread that writes.
const UNDER_WAY: usize = 4;

/// How long a mover may write after it has seen that the destination is its own, and a little.
const LOOK_HOLDS: Duration = Duration::from_millis(75);

fn source(area: &Area) -> PathBuf {
    let source = area.join("source");
    for n in 0..FILES {
        let folder = source.join(format!("d{}", n / 1000));
        if n % 1000 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("f{n}")), n.to_string()).unwrap();
    }
    source
}

/// Returns everything that has its final name.
fn named(destination: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![destination.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with(".blit") {
                continue;
            }
            if path.is_dir() {
                open.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

/// Waits until the state in the destination is that of an attempt.
fn wait_for_state(mover: &Running, destination: &Path, attempt: u32) {
    let state = destination.join(".blit/state");
    let wanted = format!("\"attempt\":{attempt}");
    let there = || fs::read_to_string(&state).is_ok_and(|text| text.contains(&wanted));
    let waited = mover.wait_until("put its state there", there).unwrap();
    assert!(waited, "it ended");
}

/// Waits until every thread of a process stands still.
fn wait_for_stop(mover: &Running) {
    let stopped = || {
        fs::read_dir(format!("/proc/{}/task", mover.id()))
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok())
            .all(|stat| {
                stat.rsplit_once(") ")
                    .is_some_and(|(_, rest)| rest.starts_with('T'))
            })
    };
    mover.wait_until("stop", stopped).unwrap();
}

#[test]
fn a_mover_that_wakes_up_finds_the_newer_attempt_and_writes_no_more() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (source(&area), area.join("destination"));
    fs::create_dir(&destination).unwrap();
    fs::write(destination.join("extraneous"), "x").unwrap();
    let job = Job::new(area.path());
    let (first, _) = listening(job.local(1, &source, &destination));
    wait_for_state(&first, &destination, 1);
    first.signal(Signal::SIGSTOP);
    wait_for_stop(&first);
    // A mover that looked a moment before it was stopped may go on for as long as one look holds.
    std::thread::sleep(LOOK_HOLDS);
    let second = start(job.local(2, &source, &destination)).unwrap();
    wait_for_state(&second, &destination, 2);
    // So that whatever is written now is written by the first.
    second.signal(Signal::SIGSTOP);
    wait_for_stop(&second);
    let before = named(&destination);
    assert!(before.len() < FILES, "it had finished before it was met");
    first.signal(Signal::SIGCONT);
    first.finish().unwrap().expect_code(1);
    let word = job.last_word("local", 1);
    assert!(
        word.message.contains("attempt 2 of the same job"),
        "{}",
        word.message
    );
    let after = named(&destination);
    let written = after.difference(&before).count();
    assert!(written <= UNDER_WAY, "it wrote {written} entries more");
    assert_eq!(before.difference(&after).count(), 0, "it deleted something");
    second.signal(Signal::SIGCONT);
    second.finish().unwrap().expect_code(0);
    oracle::assert_mirrored(&source, &destination);
}

#[test]
fn an_attempt_after_one_that_was_asked_to_end_copies_only_the_rest() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (source(&area), area.join("destination"));
    fs::create_dir(&destination).unwrap();
    let job = Job::new(area.path());
    let (receiver, control) = listening(job.destination(1, &destination));
    let sender = start(job.source(1, &source, control)).unwrap();
    let part = || fs::read_dir(&destination).is_ok_and(|top| top.count() > 3);
    receiver.wait_until("copy something", part).unwrap();
    receiver.signal(Signal::SIGTERM);
    let asked = Instant::now();
    receiver.finish().unwrap().expect_code(130);
    // It ends with the result that the destination told it.
    sender.finish().unwrap().expect_code(130);
    assert!(
        asked.elapsed().as_secs() < 30,
        "far below the grace of a pod"
    );
    let word = job.last_word("destination", 1);
    assert_eq!(word.exit_code, ExitCode::Interrupted);
    assert!(
        destination.join(".blit/state").exists(),
        "for the next attempt"
    );
    let (receiver, control) = listening(job.destination(2, &destination));
    run(job.source(2, &source, control)).unwrap().expect_code(0);
    receiver.finish().unwrap().expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    let rest = job.last_word("destination", 2);
    assert_eq!(
        rest.files_unchanged, word.files_copied,
        "what arrived was used"
    );
    assert_eq!(rest.files_copied + rest.files_unchanged, FILES as u64);
}
