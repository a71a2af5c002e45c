//! A mover whose peer is killed, stopped or cut off leaves with exit code 30 within 30 s, whatever it was doing.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use blit_crds::outcome::ExitCode;
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::network::{Host, Network};
use blit_e2e::process::{Running, start};
use blit_e2e::tree::Content;
use nix::sys::signal::Signal;

use crate::machine;
use crate::movers::{Job, listening};

/// How long the survivor may stay.
const LIMIT: Duration = Duration::from_secs(30);

/// What the two movers do when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The destination listens, and the source has just been started.
    BeforeHello,
    /// Listings and many small files.
    Scanning,
    /// One large file.
    LargeFile,
    /// Everything is copied, and what is extraneous goes.
    Deleting,
}

/// Who is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Survivor {
    Source,
    Destination,
}

/// Makes trees for which a moment lasts long enough to be met.
fn prepare(moment: Moment, source: &Path, destination: &Path) {
    fs::create_dir(source).unwrap();
    fs::create_dir(destination).unwrap();
    let many = |root: &Path, count: usize| {
        for n in 0..count {
            let folder = root.join(format!("d{}", n / 50));
            if n % 50 == 0 {
                fs::create_dir(&folder).unwrap();
            }
            fs::write(folder.join(format!("f{n}")), n.to_string()).unwrap();
        }
    };
    match moment {
        Moment::BeforeHello | Moment::Scanning => many(source, 20_000),
        Moment::LargeFile => {
            let file = File::create_new(source.join("large")).unwrap();
            Content::full(512 << 20, 1).write(&file).unwrap();
        }
        Moment::Deleting => {
            fs::write(source.join("kept"), "x").unwrap();
            many(destination, 20_000);
            // The same directories on both sides, so that each of them is listed again.
            for n in 0..400 {
                fs::create_dir(source.join(format!("d{n}"))).unwrap();
            }
        }
    }
}

/// Waits until the moment has come; `destination` runs.
fn wait_for(moment: Moment, mover: &Running, destination: &Path) {
    match moment {
        Moment::BeforeHello => {}
        Moment::Scanning => {
            let there = || destination.join(".blit/state").exists();
            mover.wait_until("begin to write", there).unwrap();
        }
        Moment::LargeFile => {
            let partly = || {
                fs::read_dir(destination).unwrap().any(|entry| {
                    let entry = entry.unwrap();
                    let size = entry.metadata().map_or(0, |meta| meta.len());
                    entry.file_name().as_encoded_bytes().starts_with(b".blit.") && size > 0
                })
            };
            mover.wait_until("receive the large file", partly).unwrap();
        }
        Moment::Deleting => {
            let phase = |line: &str| line.contains("\"phase\":\"delete\"");
            mover.wait_for_line("delete", phase).unwrap().unwrap();
        }
    }
}

/// Asserts that the survivor leaves as it should. `since` is when it was left alone.
#[track_caller]
fn assert_leaves(what: &str, job: &Job, survivor: Survivor, mover: Running, since: Instant) {
    let finished = mover.finish_within(LIMIT * 2).unwrap();
    let took = since.elapsed();
    let kind = match survivor {
        Survivor::Source => "source",
        Survivor::Destination => "destination",
    };
    println!("{what}: the {kind} left after {took:?}");
    assert_eq!(finished.code, Some(30), "{what}: {}", finished.stderr());
    assert!(took < LIMIT, "{what}: the {kind} took {took:?}");
    let word = job.last_word(kind, 1);
    assert_eq!(word.exit_code, ExitCode::PeerUnreachable, "{what}");
    assert!(!word.message.is_empty(), "{what}");
}

/// Sends a signal to the peer of a survivor at a moment.
fn left_alone(moment: Moment, survivor: Survivor, signal: Signal) {
    let what = format!("{signal} for the peer of the {survivor:?} at {moment:?}");
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    prepare(moment, &source, &destination);
    let job = Job::new(area.path());
    let (receiver, control) = listening(job.destination(1, &destination));
    if moment == Moment::BeforeHello {
        // The source is what can be left alone; a destination waits for one to come.
        receiver.signal(signal);
        let since = Instant::now();
        let sender = start(job.source(1, &source, control)).unwrap();
        return assert_leaves(&what, &job, survivor, sender, since);
    }
    let sender = start(job.source(1, &source, control)).unwrap();
    wait_for(moment, &receiver, &destination);
    let (victim, left) = match survivor {
        Survivor::Source => (receiver, sender),
        Survivor::Destination => (sender, receiver),
    };
    victim.signal(signal);
    assert_leaves(&what, &job, survivor, left, Instant::now());
}

/// All moments and survivors at once: most of the time is spent waiting.
fn in_every_moment(signal: Signal) {
    std::thread::scope(|scope| {
        scope.spawn(|| left_alone(Moment::BeforeHello, Survivor::Source, signal));
        for moment in [Moment::Scanning, Moment::LargeFile, Moment::Deleting] {
            for survivor in [Survivor::Source, Survivor::Destination] {
                scope.spawn(move || left_alone(moment, survivor, signal));
            }
        }
    });
}

#[test]
fn a_mover_whose_peer_is_killed_leaves_in_time() {
    let _shared = machine::shared();
    in_every_moment(Signal::SIGKILL);
}

#[test]
fn a_mover_whose_peer_is_stopped_leaves_in_time() {
    let _shared = machine::shared();
    in_every_moment(Signal::SIGSTOP);
}

/// Cuts the cable at a moment: both movers are survivors.
fn cut_off(moment: Moment) {
    let what = format!("the cable is cut at {moment:?}");
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    prepare(moment, &source, &destination);
    let network = Network::new().unwrap();
    let job = Job::new(area.path());
    let listen = network.socket(Host::Near, 0).to_string();
    let listen = job.destination_at(1, &destination, &listen);
    let (receiver, control) = listening(network.on(Host::Near, &listen));
    let dial = network.on(Host::Far, &job.source(1, &source, control));
    if moment == Moment::BeforeHello {
        network.cut().unwrap();
        let since = Instant::now();
        let sender = start(dial).unwrap();
        return assert_leaves(&what, &job, Survivor::Source, sender, since);
    }
    let sender = start(dial).unwrap();
    wait_for(moment, &receiver, &destination);
    network.cut().unwrap();
    let since = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_leaves(&what, &job, Survivor::Source, sender, since));
        scope.spawn(|| assert_leaves(&what, &job, Survivor::Destination, receiver, since));
    });
}

#[test]
fn movers_that_are_cut_off_from_each_other_both_leave_in_time() {
    let _shared = machine::shared();
    std::thread::scope(|scope| {
        for moment in [
            Moment::BeforeHello,
            Moment::Scanning,
            Moment::LargeFile,
            Moment::Deleting,
        ] {
            scope.spawn(move || cut_off(moment));
        }
    });
}
