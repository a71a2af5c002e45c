//! Runs that end in the middle: no file is half-written under its final name, and the next run finishes. Who cannot wait for the end
//! asks twice.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{Member, Running, descendants, gone_within, start};
use blit_e2e::seed::{self, Random};
use blit_e2e::tree::Content;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::blit::{Mirror, Way};
use crate::machine;

/// Interruptions of each kind.
const ROUNDS: usize = 8;

/// How long a program may take to end after it, or its mover, was told or killed.
const GRACE: Duration = Duration::from_secs(60);

/// How long it may take to end for who waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Who gets the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// The program that was started.
    Program,
    /// The mover of this name below it.
    Mover(&'static str),
}

/// A source, and a destination that holds older versions of half of it.
struct Setting {
    area: Area,
    source: PathBuf,
    /// What the destination held before.
    before: PathBuf,
    destination: PathBuf,
}

impl Setting {
    fn new() -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        let (source, before) = (area.join("source"), area.join("before"));
        for directory in 0..12 {
            for file in 0..60 {
                let name = format!("d{directory}/f{file}");
                write(&source.join(&name), 20_000 + file, file);
                if file % 2 == 0 {
                    write(&before.join(&name), 20_000 + file, 1000 + file);
                }
            }
            write(&before.join(format!("d{directory}/gone")), 100, directory);
        }
        for large in 0..4 {
            write(
                &source.join(format!("large{large}")),
                (12 << 20) + large,
                large,
            );
        }
        write(&before.join("large0"), (12 << 20) + 9, 9);
        let destination = area.join("destination");
        Self {
            area,
            source,
            before,
            destination,
        }
    }

    /// Puts the destination back to what it was.
    fn reset(&self) {
        let _ = fs::remove_dir_all(&self.destination);
        copy_tree(&self.before, &self.destination);
    }

    fn mirror(&self, way: Way) -> Mirror<'_> {
        Mirror {
            way,
            source: &self.source,
            destination: &self.destination,
            work: self.area.path(),
        }
    }

    /// Returns how long a run takes when nobody interrupts it.
    fn duration(&self, way: Way) -> Duration {
        self.reset();
        let began = Instant::now();
        self.mirror(way).complete();
        began.elapsed()
    }

    /// Asserts that every file under a final name is the old one or the new one.
    #[track_caller]
    fn assert_whole(&self) {
        for path in files(&self.destination) {
            let found = fs::read(self.destination.join(&path)).unwrap();
            let is = |root: &Path| fs::read(root.join(&path)).is_ok_and(|bytes| bytes == found);
            let whole = is(&self.source) || is(&self.before);
            assert!(
                whole,
                "{} has {} bytes of neither version",
                path.display(),
                found.len()
            );
        }
    }
}

/// Interrupts runs at random moments; `check` judges how each ended.
fn interrupted(way: Way, victim: Victim, signal: Signal, check: impl Fn(Option<i32>, Option<i32>)) {
    let setting = Setting::new();
    let duration = setting.duration(way);
    let seed = seed::for_test();
    println!(
        "replay with {}={seed}; a whole run took {duration:?}",
        seed::VARIABLE
    );
    let mut random = Random::new(seed);
    for round in 0..ROUNDS {
        setting.reset();
        // Now and then the run that should finish is interrupted too.
        for _ in 0..1 + random.below(2) {
            let part = random.below(1000) as u32;
            let moment = duration * part / 1000;
            println!("round {round}: {signal} to {victim:?} after {moment:?}");
            let running = start(setting.mirror(way).command()).unwrap();
            running.ended_within(moment);
            let movers = hit(&running, victim, signal);
            let finished = running.finish_within(GRACE).unwrap();
            println!("code {:?}, signal {:?}", finished.code, finished.signal);
            for mover in movers {
                assert!(gone_within(mover.id, GRACE), "{mover:?} was left behind");
            }
            check(finished.code, finished.signal);
            setting.assert_whole();
            if finished.code == Some(0) {
                oracle::assert_mirrored(&setting.source, &setting.destination);
            }
        }
        setting.mirror(way).complete();
        oracle::assert_mirrored(&setting.source, &setting.destination);
    }
}

/// Sends the signal and returns the movers that ran then.
fn hit(running: &Running, victim: Victim, signal: Signal) -> Vec<Member> {
    let is_mover = |member: &Member| member.arguments.get(1).is_some_and(|word| word == "mover");
    let movers = || {
        descendants(running.id())
            .into_iter()
            .filter(is_mover)
            .collect::<Vec<_>>()
    };
    match victim {
        Victim::Program => {
            let movers = movers();
            running.signal(signal);
            movers
        }
        Victim::Mover(name) => {
            let named = |member: &&Member| member.arguments.get(2).is_some_and(|word| word == name);
            let there = || movers().iter().any(|member| named(&member));
            running.wait_until("start the mover", there).unwrap();
            let movers = movers();
            if let Some(mover) = movers.iter().find(named) {
                let _ = kill(Pid::from_raw(mover.id.cast_signed()), signal);
            }
            movers
        }
    }
}

#[test]
fn a_local_mirror_that_is_asked_to_stop_ends_with_130_and_whole_files() {
    let _shared = machine::shared();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        interrupted(Way::Local, Victim::Program, signal, clean);
    }
}

#[test]
fn a_local_mirror_that_is_killed_leaves_whole_files() {
    let _shared = machine::shared();
    interrupted(Way::Local, Victim::Program, Signal::SIGKILL, |_, _| {});
}

#[test]
fn a_run_that_is_asked_to_stop_ends_with_130_and_no_movers() {
    let _shared = machine::shared();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        interrupted(Way::Run, Victim::Program, signal, clean);
    }
}

#[test]
fn a_run_that_is_killed_takes_its_movers_with_it() {
    let _shared = machine::shared();
    interrupted(Way::Run, Victim::Program, Signal::SIGKILL, |_, _| {});
}

#[test]
fn a_source_mover_that_is_killed_ends_the_run_with_an_error() {
    let _shared = machine::shared();
    interrupted(Way::Run, Victim::Mover("source"), Signal::SIGKILL, ended);
}

#[test]
fn a_destination_mover_that_is_killed_ends_the_run_with_an_error() {
    let _shared = machine::shared();
    interrupted(
        Way::Run,
        Victim::Mover("destination"),
        Signal::SIGKILL,
        ended,
    );
}

#[test]
fn movers_that_are_asked_to_stop_end_the_run() {
    let _shared = machine::shared();
    for mover in ["source", "destination"] {
        interrupted(Way::Run, Victim::Mover(mover), Signal::SIGTERM, ended);
    }
}

/// Sends a signal and waits until the program has taken it: of two that wait, the kernel makes one.
#[track_caller]
fn send(running: &Running, signal: Signal) {
    running.signal(signal);
    let taken = || !waits(running, "ShdPnd", signal);
    running.wait_until("take a signal", taken).unwrap();
}

/// Returns true if the program has ended, though a call that it was in may not have: until that comes back, the kernel keeps
/// the thread, which it has killed as all others.
fn has_exited(running: &Running) -> bool {
    let state = status(running, "State");
    state.is_none_or(|state| state.starts_with('Z')) || waits(running, "SigPnd", Signal::SIGKILL)
}

/// Returns true if a signal waits for the program, or for its first thread.
fn waits(running: &Running, set: &str, signal: Signal) -> bool {
    let set = status(running, set).map(|set| u64::from_str_radix(&set, 16).unwrap());
    set.is_some_and(|set| set & (1 << (signal as u32 - 1)) != 0)
}

/// Returns what the kernel tells of the program; nothing of one that is gone.
fn status(running: &Running, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).ok()?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(":"));
    Some(value?.trim().to_owned())
}

#[test]
fn a_second_signal_ends_a_mirror_at_once_that_the_first_cannot_end() {
    let _shared = machine::shared();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let faulty = Faulty::mount(Nature::default()).unwrap();
        fs::create_dir(faulty.join("below")).unwrap();
        for name in ["before", "below/hangs"] {
            fs::write(faulty.join(name), "content").unwrap();
        }
        let area = Area::on(FileSystem::Ext4).unwrap();
        let destination = area.join("destination");
        let mirror = Mirror {
            way: Way::Local,
            source: faulty.path(),
            destination: &destination,
            work: area.path(),
        };
        faulty.hang(Call::Read, "hangs");
        let running = start(mirror.command()).unwrap();
        let hangs = || faulty.hanging() > 0;
        assert!(running.wait_until("read what hangs", hangs).unwrap());
        send(&running, signal);
        // Long enough to end, if it did not wait for the read.
        let first = running.ended_within(AT_ONCE / 5) || has_exited(&running);
        let asked = Instant::now();
        running.signal(signal);
        let exited = || has_exited(&running) || asked.elapsed() >= AT_ONCE;
        running.wait_until("end", exited).unwrap();
        let (second, hung) = (has_exited(&running), hangs());
        // Also of a test that fails: who waits for the program waits for the read.
        faulty.heal();
        assert!(!first, "the first {signal} did not wait for the read");
        assert!(second && hung, "the second {signal} waited for the read");
        let finished = running.finish_within(GRACE).unwrap();
        finished.expect_code(130);
        assert!(!destination.join("below/hangs").exists());
        mirror.complete();
        oracle::assert_mirrored(faulty.path(), &destination);
    }
}

/// It was interrupted, or it had ended before the signal came. A signal that comes before the program has
/// set its handlers kills it.
#[track_caller]
fn clean(code: Option<i32>, signal: Option<i32>) {
    assert!(
        matches!(code, Some(130 | 0)) || signal.is_some(),
        "code {code:?}"
    );
}

/// It ended by itself.
#[track_caller]
fn ended(code: Option<i32>, signal: Option<i32>) {
    assert!(
        code.is_some() && signal.is_none(),
        "code {code:?}, signal {signal:?}"
    );
}

/// Returns the files under final names, relative to the root.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name == ".blit" || (name.starts_with(".blit.") && name.ends_with(".tmp")) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(root).unwrap().to_path_buf());
            }
        }
    }
    found
}

fn write(path: &Path, size: u64, seed: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    Content::full(size, seed)
        .write(&File::create_new(path).unwrap())
        .unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for path in files(from) {
        fs::create_dir_all(to.join(&path).parent().unwrap()).unwrap();
        fs::copy(from.join(&path), to.join(&path)).unwrap();
    }
}
