//! Symbolic links that somebody swaps in while the program works, on both ends: what they point to, a canary
//! outside of the trees, is neither changed, nor read, nor removed.
//!
//! A thread exchanges names of a tree for links to the canary and back, as fast as it can: directories on the way,
//! last components, and what the program makes under names of its own. Each call that takes a name is held up in
//! turn, so that its name has become another when it comes to it, and what is exchanged meanwhile counts for that call.
//! That the test would notice is shown call by call: a switch of programs built for tests makes them follow links, and then
//! each of them leaves its mark on the canary.

mod canary;
mod held;
mod setting;
mod swapper;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use blit_e2e::process::{Finished, run};
use blit_e2e::snapshot::Snapshot;

use self::canary::Canary;
use self::setting::{EACH, End, Setting, leaked};
use self::swapper::{AIMS, Aim, meanwhile, now};
use crate::blit::Way;
use crate::machine;

/// Seconds that each end is tried at least, where what has to be counted takes less.
const SECONDS: &str = "BLIT_TEST_RACE_SECONDS";

/// How many exchanges there have to be for each call on each end while it is held up, or how long it is tried instead.
const SWAPS: u64 = 100_000;
const LONG: Duration = Duration::from_secs(60);

/// What is bound to happen takes seconds; later than this it never will.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often each call has to be met at least, held up while names are swapped.
const MET: usize = EACH;

/// One of so many runs is one of two movers, which write what arrives; it takes several times as long. Has no divisor in
/// common with the numbers of pauses and aims.
const MOVERS_EVERY: usize = 7;

/// Makes the program follow links; see `blit_engine::fs::dir`.
const FOLLOW: &str = "BLIT_TEST_FOLLOW_LINKS";

/// Each call that takes a name, in the forms that there are; strace need not know them all.
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

/// Calls that look at a name or make it, before others that use it.
const BEFORE_OTHERS: [&str; 8] = [
    "statx",
    "openat",
    "unlinkat",
    "getdents64",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
];

/// How long a pause after a call is: many exchanges.
const PAUSE_MICROSECONDS: u32 = 300;

/// How long a call is held up: so long that every name of the trees is exchanged several times.
const HELD_MICROSECONDS: u32 = 8000;

/// Where the program pauses, so that the name in question can become another.
#[derive(Clone, Copy, Debug)]
enum Pause {
    /// Nowhere: it meets many moments.
    Never,
    /// After each call before others.
    After,
    /// Before each call of [`CALLS`] with this number.
    Before(usize),
}

impl Pause {
    fn name(self) -> &'static str {
        match self {
            Self::Never => "without a pause",
            Self::After => "after each call",
            Self::Before(call) => CALLS[call].0,
        }
    }
}

/// All pauses.
fn pauses() -> impl Iterator<Item = Pause> + Clone {
    let before = (0..CALLS.len()).map(Pause::Before);
    [Pause::Never, Pause::After].into_iter().chain(before)
}

/// Returns the command with its pauses; where it pauses, calls are recorded.
fn paused(setting: &Setting, way: Way, pause: Pause) -> Command {
    let command = setting.command(way);
    let (calls, delay): (&[&str], _) = match pause {
        Pause::Never => return command,
        Pause::After => (&BEFORE_OTHERS, format!("delay_exit={PAUSE_MICROSECONDS}")),
        Pause::Before(call) => (CALLS[call].1, format!("delay_enter={HELD_MICROSECONDS}")),
    };
    let calls: Vec<String> = calls.iter().map(|call| format!("?{call}")).collect();
    let calls = calls.join(",");
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-ttt", "-T"]);
    strace.args(["-e", "signal=none", "-e"]);
    strace.arg(format!("trace={calls}")).arg("-e");
    strace.arg(format!("inject={calls}:{delay}"));
    strace.arg("-o").arg(setting.record()).arg("--");
    strace.arg(command.get_program()).args(command.get_args());
    strace
}

/// What came of one pause.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    runs: usize,
    /// How often its call was held up while names were exchanged.
    met: usize,
    /// Exchanges while it was held up.
    swaps: u64,
    /// How long that took, with all of the runs.
    took: Duration,
}

impl Tally {
    /// It has met every aim, and was met by enough.
    fn suffices(&self) -> bool {
        let long = self.swaps >= SWAPS || self.took >= LONG;
        self.runs >= AIMS.len() && self.met >= MET && long
    }
}

/// What happened at one end.
#[derive(Debug, Default)]
struct Raced {
    harm: Vec<String>,
    runs: usize,
    /// By the names of pauses.
    each: BTreeMap<&'static str, Tally>,
}

impl Raced {
    fn of(&self, pause: Pause) -> Tally {
        self.each.get(pause.name()).copied().unwrap_or_default()
    }

    fn suffices(&self) -> bool {
        pauses().all(|pause| self.of(pause).suffices())
    }

    /// Counts a run from its beginning on, in which names were exchanged at these moments.
    fn count(
        &mut self,
        pause: Pause,
        aim: Aim,
        record: &Path,
        began: Duration,
        swaps: &[Duration],
    ) {
        self.runs += 1;
        let tally = self.each.entry(pause.name()).or_default();
        tally.runs += 1;
        // Few calls take the names of the state, which are exchanged more often than others.
        if aim == Aim::State {
            return;
        }
        let all = began..now();
        let spans = match pause {
            Pause::Before(_) => held::spans(&fs::read_to_string(record).unwrap()),
            Pause::Never | Pause::After => vec![all.clone()],
        };
        let (met, swaps) = held::raced(swaps, spans);
        tally.met += met;
        tally.swaps += swaps;
        tally.took += all.end.saturating_sub(all.start);
    }

    fn note(&mut self, finished: &Finished) {
        let text = finished.stderr();
        if finished.signal.is_some() || text.contains("panicked") {
            self.harm.push(format!("the program broke: {text}"));
        }
    }
}

/// Runs the program again and again while names are swapped, for so long at least, and until that suffices.
fn race(end: End, time: Duration) -> Raced {
    let setting = Setting::new(end);
    let before = Snapshot::of(&setting.canary()).unwrap();
    let mut raced = Raced::default();
    let began = Instant::now();
    // Their numbers have no common divisor: each meets each.
    for (pause, aim) in pauses().cycle().zip(AIMS.into_iter().cycle()) {
        let (all, tally) = (raced.suffices(), raced.of(pause));
        if all && began.elapsed() >= time || !raced.harm.is_empty() {
            break;
        }
        if !all && tally.suffices() {
            continue;
        }
        assert!(tally.took < PATIENCE, "{end:?}, {pause:?}: {raced:#?}");
        let way = match raced.runs % MOVERS_EVERY {
            3 => Way::Run,
            _ => Way::Local,
        };
        setting.fill();
        let command = paused(&setting, way, pause);
        let started = now();
        let (finished, swaps) = meanwhile(&setting, aim, || run(command).unwrap());
        raced.count(pause, aim, &setting.record(), started, &swaps);
        raced.note(&finished);
        raced.harm.extend(leaked(&setting));
        let changes = before.changes(&Snapshot::of(&setting.canary()).unwrap());
        let told = |change| format!("{way:?}, {pause:?}, {aim:?}: {change}");
        raced.harm.extend(changes.into_iter().map(told));
    }
    raced
}

#[test]
fn a_canary_outside_survives_links_that_are_swapped_in_before_every_call() {
    let _shared = machine::shared();
    let time = Duration::from_secs(seconds());
    let race_of = |end| {
        let began = Instant::now();
        let raced = race(end, time);
        println!("{end:?}: {:?}, {raced:#?}", began.elapsed());
        assert_eq!(raced.harm, Vec::<String>::new(), "{end:?}");
        assert!(raced.suffices(), "{end:?}: {raced:#?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| race_of(End::Source));
        race_of(End::Destination);
    });
}

#[test]
fn every_call_would_leave_its_mark_on_the_canary_if_links_were_followed() {
    let _shared = machine::shared();
    let setting = Setting::new(End::Destination);
    let mut marks: BTreeMap<&str, u32> = CALLS.iter().map(|(call, _)| (*call, 0)).collect();
    let began = Instant::now();
    for aim in AIMS.into_iter().cycle() {
        if marks.values().all(|seen| *seen > 0) || began.elapsed() >= PATIENCE {
            break;
        }
        setting.fill();
        setting.fill_canary();
        let before = Canary::of(&setting);
        following(&setting, aim);
        for call in before.marks(&Canary::of(&setting)) {
            *marks.entry(call).or_default() += 1;
        }
    }
    println!(
        "{:?}: runs with the mark of each call: {marks:?}",
        began.elapsed()
    );
    let missing = marks.iter().find(|(_, seen)| **seen == 0);
    assert_eq!(missing, None, "of {marks:?}");
}

#[test]
fn what_is_outside_would_be_read_if_links_were_followed() {
    let _shared = machine::shared();
    let setting = Setting::new(End::Source);
    let began = Instant::now();
    let mut found = Vec::new();
    while found.is_empty() && began.elapsed() < PATIENCE {
        setting.fill();
        following(&setting, Aim::Leaves);
        found = leaked(&setting);
    }
    assert!(!found.is_empty(), "nothing was read");
}

/// Runs a program that follows links once.
fn following(setting: &Setting, aim: Aim) {
    let mut command = paused(setting, Way::Local, Pause::After);
    command.env(FOLLOW, "1");
    meanwhile(setting, aim, || run(command).unwrap());
}

fn seconds() -> u64 {
    match std::env::var(SECONDS) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 0,
    }
}
