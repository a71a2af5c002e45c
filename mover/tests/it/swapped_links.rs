//! Symbolic links that somebody swaps in while the program works, on both ends: what they point to, a canary
//! outside of the trees, is neither changed, nor read, nor removed.
//!
//! A thread exchanges files and directories of a tree for links to the canary and back, as fast as it can. The
//! tree makes the program use every call that takes a name: that is checked by itself. So is that the test would
//! notice: a switch of programs built for tests makes them follow links, and then the canary suffers.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::run;
use blit_e2e::snapshot::Snapshot;
use blit_e2e::trace::run_traced;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags, mknodat, renameat_with, setxattr};

use crate::blit::blit;
use crate::machine;

/// Seconds that each end is tried; 60 says more, 5 is what `make test` can spare.
const SECONDS: &str = "BLIT_TEST_RACE_SECONDS";
const DEFAULT_SECONDS: u64 = 5;

/// Makes the program follow links; see `blit_engine::fs::dir`.
const FOLLOW: &str = "BLIT_TEST_FOLLOW_LINKS";

/// How long the canary has to suffer at the latest when links are followed.
const SOON: Duration = Duration::from_secs(60);

/// Directories of each kind, and files at the top, that are exchanged.
const EACH: usize = 12;

/// Calls that look at a name, before others that use it.
const LOOKS: &str = "statx,openat,unlinkat,getdents64";

/// How long a pause after each of them is: many exchanges.
const PAUSE_MICROSECONDS: u32 = 300;

/// What is in the canary's files, and in no other.
const CANARY: &str = "canary";

/// How a file is reported that has it.
const OUTSIDE: &str = "has what is outside";

/// Each call that takes a name, in the forms that there are.
const CALLS: [(&str, &[&str]); 11] = [
    ("open", &["openat", "openat2"]),
    ("mkdir", &["mkdirat"]),
    ("mknod", &["mknodat"]),
    ("symlink", &["symlinkat"]),
    ("link", &["linkat"]),
    ("rename", &["renameat", "renameat2"]),
    ("unlink", &["unlinkat"]),
    ("chmod", &["chmod", "fchmod", "fchmodat", "fchmodat2"]),
    ("chown", &["fchown", "fchownat"]),
    ("utimens", &["utimensat"]),
    ("xattr", &["setxattr", "fsetxattr", "setxattrat"]),
];

/// The end whose names are swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// A source, a destination that differs from it in every way, and the canary.
struct Setting {
    area: Area,
    end: End,
}

impl Setting {
    fn new(end: End) -> Self {
        // In memory names are exchanged ten times as often as on a disk.
        let area = Area::on(FileSystem::Tmpfs).unwrap();
        let setting = Self { area, end };
        setting.fill_canary();
        setting.fill();
        setting
    }

    fn source(&self) -> PathBuf {
        self.area.join("source")
    }

    fn destination(&self) -> PathBuf {
        self.area.join("destination")
    }

    fn canary(&self) -> PathBuf {
        self.area.join("canary")
    }

    fn command(&self) -> Command {
        let mut command = blit(&["mirror", "--json", "--max-delete", "100%"]);
        command.arg(self.source()).arg(self.destination());
        command
    }

    /// The same with a pause after each call that looks at a name, in which it can become another.
    fn slow_command(&self) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
        strace.args(["-e", &format!("trace={LOOKS}")]);
        strace.args([
            "-e",
            &format!("inject={LOOKS}:delay_exit={PAUSE_MICROSECONDS}"),
        ]);
        let command = self.command();
        strace
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        strace
    }

    /// The canary has every name that the trees have, so that whoever comes to it by mistake finds something.
    fn fill_canary(&self) {
        let canary = self.canary();
        for below in ["", "sub", "gone-sub"] {
            let directory = canary.join(below);
            fs::create_dir_all(&directory).unwrap();
            for name in [
                "new",
                "older",
                "attributes",
                "hard",
                "gone",
                "file",
                "inner",
            ] {
                fs::write(directory.join(name), CANARY).unwrap();
            }
        }
        for name in ["fifo", "node"] {
            fifo(&canary.join(name));
        }
        symlink(CANARY, canary.join("link")).unwrap();
    }

    /// Makes both trees anew, and the links that are exchanged with names of one of them.
    fn fill(&self) {
        for tree in [self.source(), self.destination(), self.area.join("links")] {
            match fs::remove_dir_all(&tree) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
            }
            fs::create_dir(&tree).unwrap();
        }
        let (source, destination) = (self.source(), self.destination());
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for n in 0..EACH {
            let here = source.join(format!("d{n}"));
            let there = destination.join(format!("d{n}"));
            for directory in [&here, &there] {
                fs::create_dir(directory).unwrap();
                write(&directory.join("attributes"), "same", past);
            }
            fs::create_dir(here.join("sub")).unwrap();
            for name in ["new", "older", "hard", "sub/inner"] {
                write(&here.join(name), "source", past);
            }
            write(&there.join("older"), "destination", past);
            fs::hard_link(here.join("hard"), source.join(format!("hard{n}"))).unwrap();
            fifo(&here.join("fifo"));
            symlink("nowhere", here.join("link")).unwrap();
            let changed = there.join("attributes");
            chown(&changed, Some(1), Some(1)).unwrap();
            setxattr(&changed, "user.other", b"1", XattrFlags::empty()).unwrap();
            let changed = here.join("attributes");
            setxattr(&changed, "user.wanted", b"1", XattrFlags::empty()).unwrap();
            write(&source.join(format!("f{n}")), "source", past);
            // Not in the source.
            let gone = destination.join(format!("x{n}"));
            fs::create_dir_all(gone.join("gone-sub")).unwrap();
            for name in ["gone", "gone-sub/gone"] {
                write(&gone.join(name), "gone", past);
            }
        }
        for name in self.exchanged() {
            symlink(self.target(&name), self.link(&name)).unwrap();
        }
    }

    /// Names at the top of the swapped tree that are exchanged for links.
    fn exchanged(&self) -> Vec<String> {
        let kinds: &[&str] = match self.end {
            End::Source => &["d", "f"],
            End::Destination => &["d", "x"],
        };
        (0..EACH)
            .flat_map(|n| kinds.iter().map(move |kind| format!("{kind}{n}")))
            .collect()
    }

    fn target(&self, name: &str) -> PathBuf {
        match name.starts_with('f') {
            true => self.canary().join("file"),
            false => self.canary(),
        }
    }

    fn link(&self, name: &str) -> PathBuf {
        self.area.join("links").join(name)
    }

    /// Exchanges every name once; returns how many there were to exchange.
    fn swap(&self) -> u64 {
        let tree = match self.end {
            End::Source => self.source(),
            End::Destination => self.destination(),
        };
        let mut swaps = 0;
        for name in self.exchanged() {
            let (named, link) = (tree.join(&name), self.link(&name));
            // What the program removed or replaced is there again with the next trees.
            let done = renameat_with(CWD, &named, CWD, &link, RenameFlags::EXCHANGE);
            swaps += u64::from(done.is_ok());
        }
        swaps
    }

    /// Returns what became of the canary, if anything.
    fn harm(&self, before: &Snapshot) -> Vec<String> {
        let mut harm = before.changes(&Snapshot::of(&self.canary()).unwrap());
        harm.extend(leaked(&self.destination()));
        harm
    }

    /// Returns the worst of it, which only a link in the middle of the work can do: what is outside was removed,
    /// or read.
    fn worst(&self, before: &Snapshot) -> Vec<String> {
        let mut harm = self.harm(before);
        harm.retain(|line| match self.end {
            End::Source => line.ends_with(OUTSIDE),
            End::Destination => line.ends_with(": gone"),
        });
        harm
    }
}

/// Runs the program again and again while names are swapped, until the canary suffers or time is up. Returns
/// the harm, and how many swaps and runs there were.
fn race(end: End, follow: bool, time: Duration) -> (Vec<String>, u64, u64) {
    let setting = Setting::new(end);
    let before = Snapshot::of(&setting.canary()).unwrap();
    let (stop, turn) = (AtomicBool::new(false), Mutex::new(()));
    let (mut runs, mut harm) = (0_u64, Vec::new());
    let swaps = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut swaps = 0;
            while !stop.load(Ordering::Relaxed) {
                let _trees_stay = turn.lock().unwrap();
                swaps += setting.swap();
            }
            swaps
        });
        let began = Instant::now();
        while began.elapsed() < time && harm.is_empty() {
            {
                let _no_swaps = turn.lock().unwrap();
                harm = match follow {
                    true => setting.worst(&before),
                    false => setting.harm(&before),
                };
                setting.fill();
            }
            // Fast, it meets many moments; slow, it is met in each of them.
            let mut command = match follow || runs % 2 == 1 {
                true => setting.slow_command(),
                false => setting.command(),
            };
            if follow {
                command.env(FOLLOW, "1");
            }
            let finished = run(command).unwrap();
            runs += 1;
            let text = finished.stderr();
            if !follow && (finished.signal.is_some() || text.contains("panicked")) {
                harm.push(format!("the program broke: {text}"));
            }
        }
        stop.store(true, Ordering::Relaxed);
        swapper.join().unwrap()
    });
    if harm.is_empty() && !follow {
        harm = setting.harm(&before);
    }
    (harm, swaps, runs)
}

#[test]
fn a_canary_outside_survives_links_that_are_swapped_in() {
    let _shared = machine::shared();
    for end in [End::Destination, End::Source] {
        let (harm, swaps, runs) = race(end, false, Duration::from_secs(seconds()));
        println!("{end:?}: {swaps} swaps, {runs} runs");
        assert_eq!(harm, Vec::<String>::new(), "{end:?}");
        assert!(swaps > 1000 && runs > 2, "{swaps} swaps in {runs} runs");
    }
}

#[test]
fn the_canary_would_suffer_if_links_were_followed() {
    let _shared = machine::shared();
    for end in [End::Destination, End::Source] {
        let (harm, swaps, runs) = race(end, true, SOON);
        println!("{end:?}: {swaps} swaps, {runs} runs: {harm:?}");
        assert!(!harm.is_empty(), "{end:?}: no harm by {swaps} swaps");
    }
}

#[test]
fn the_raced_trees_make_the_program_use_every_call_that_takes_a_name() {
    let _shared = machine::shared();
    let setting = Setting::new(End::Destination);
    let all = CALLS.iter().flat_map(|(_, calls)| *calls);
    let asked: Vec<String> = all.map(|call| format!("?{call}")).collect();
    let traced = run_traced(&setting.command(), &asked.join(",")).unwrap();
    traced.finished.expect_code(0);
    for (what, calls) in CALLS {
        let count: usize = calls.iter().map(|call| traced.count(call)).sum();
        assert!(count >= EACH, "{what}: only {count} calls");
    }
}

fn seconds() -> u64 {
    match std::env::var(SECONDS) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => DEFAULT_SECONDS,
    }
}

/// Returns files of a tree that hold what only the canary has.
fn leaked(tree: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![tree.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() && fs::read(&path).unwrap() == CANARY.as_bytes() {
                found.push(format!("{} {OUTSIDE}", path.display()));
            }
        }
    }
    found
}

fn write(path: &Path, content: &str, time: SystemTime) {
    fs::write(path, content).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(path.metadata().unwrap().nlink(), 1);
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}
