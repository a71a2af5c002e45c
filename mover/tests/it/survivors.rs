//! A mover whose peer is killed, stopped or cut off leaves with exit code 30 within 30 s, whatever it was doing.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use blit_crds::outcome::ExitCode;
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::{Running, run, start};
use blit_e2e::tree::Content;
use nix::sys::signal::Signal;

use crate::machine;
use crate::movers::{Job, listening, listening_in};

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

/// Two network namespaces with a cable between them, removed with this.
struct Cable {
    near: String,
    far: String,
}

impl Cable {
    fn new(name: &str) -> Self {
        // Short: the name of an interface has 15 bytes at most.
        let id = format!("{:x}{name}", std::process::id() & 0xf_ffff);
        let cable = Self {
            near: format!("blit{id}a"),
            far: format!("blit{id}b"),
        };
        let (a, b) = (cable.near.as_str(), cable.far.as_str());
        for namespace in [a, b] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&[
            "-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b,
        ]);
        for (namespace, address) in [(a, "10.231.0.1/24"), (b, "10.231.0.2/24")] {
            ip(&["-n", namespace, "address", "add", address, "dev", "eth0"]);
            ip(&["-n", namespace, "link", "set", "eth0", "up"]);
        }
        cable
    }

    /// Lets nothing through any more, without a word to either end.
    fn cut(&self) {
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.near, "nft"]).arg(
            "table inet cut { chain in { type filter hook input priority 0; policy drop; }; \
             chain out { type filter hook output priority 0; policy drop; }; }",
        );
        run(nft).unwrap().expect_code(0);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip")
                .args(["netns", "delete", namespace])
                .status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command).unwrap().expect_code(0);
}

/// Cuts the cable at a moment: both movers are survivors.
fn cut_off(moment: Moment, name: &str) {
    let what = format!("the cable is cut at {moment:?}");
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    prepare(moment, &source, &destination);
    let cable = Cable::new(name);
    let job = Job::new(area.path());
    let listen = job.destination_at(1, &destination, "10.231.0.1:0");
    let (receiver, control) = listening_in(&cable.near, listen);
    let dial = job.source(1, &source, control);
    if moment == Moment::BeforeHello {
        cable.cut();
        let since = Instant::now();
        let sender = start(crate::movers::in_namespace(&cable.far, dial)).unwrap();
        return assert_leaves(&what, &job, Survivor::Source, sender, since);
    }
    let sender = start(crate::movers::in_namespace(&cable.far, dial)).unwrap();
    wait_for(moment, &receiver, &destination);
    cable.cut();
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
        scope.spawn(|| cut_off(Moment::BeforeHello, "h"));
        scope.spawn(|| cut_off(Moment::Scanning, "s"));
        scope.spawn(|| cut_off(Moment::LargeFile, "l"));
        scope.spawn(|| cut_off(Moment::Deleting, "d"));
    });
}
