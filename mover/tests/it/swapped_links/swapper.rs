//! Somebody who exchanges names of a tree for links to the canary and back, as fast as that goes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, symlinkat};
use rustix::io::Errno;

use super::setting::Setting;

/// Which names are exchanged. All at once leave the program little to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Directories: what is below a name leads elsewhere.
    Directories,
    /// Everything else under its own name: it is the last component that leads elsewhere.
    Leaves,
    /// Names under which the program makes what is not to be seen.
    Temporaries,
    /// What the program keeps for itself.
    State,
    /// All of them.
    Everything,
}

/// All aims; what is made and what is removed is worth more than the rest.
pub(super) const AIMS: [Aim; 5] = [
    Aim::Directories,
    Aim::Temporaries,
    Aim::Leaves,
    Aim::Everything,
    Aim::State,
];

impl Aim {
    fn hits(self, name: &str) -> bool {
        let own = matches!(name, ".blit" | "lock" | "state" | "state.new");
        let temporary = name.starts_with(".blit.");
        let mut letters = name.chars();
        let top = letters.next().is_some_and(|first| "dnx".contains(first))
            && letters.next().is_some_and(|second| second.is_ascii_digit());
        let directory = top || name.ends_with("sub");
        match self {
            Self::Directories => directory,
            Self::Leaves => !directory && !temporary && !own,
            Self::Temporaries => temporary,
            Self::State => own,
            Self::Everything => !own,
        }
    }
}

/// Does `work` while names are exchanged; returns what it returned, and the time of day of each exchange.
pub(super) fn meanwhile<T>(
    setting: &Setting,
    aim: Aim,
    work: impl FnOnce() -> T,
) -> (T, Vec<Duration>) {
    let ended = AtomicBool::new(false);
    let (tree, links) = (open(&setting.swapped()), open(&setting.links()));
    let swapper = Swapper {
        setting,
        aim,
        links,
    };
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let mut moments = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                swapper.sweep(&tree, "", &mut moments);
            }
            moments
        });
        // The thread has to end where the work panics as well.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        ended.store(true, Ordering::Relaxed);
        let moments = swapping.join().unwrap();
        match done {
            Ok(done) => (done, moments),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

struct Swapper<'a> {
    setting: &'a Setting,
    aim: Aim,
    links: OwnedFd,
}

impl Swapper<'_> {
    /// Exchanges each name at and below a directory once. It follows no link itself: what comes to the canary does
    /// not come from here.
    fn sweep(&self, directory: &OwnedFd, at: &str, moments: &mut Vec<Duration>) {
        let Ok(listing) = Dir::read_from(directory) else {
            return;
        };
        // What the program did since the directory was listed is met with the next sweep.
        for entry in listing.flatten() {
            let (name, kind) = (entry.file_name().to_string_lossy(), entry.file_type());
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{at}{name}");
            if kind == FileType::Directory {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(below) = openat(directory, &*name, flags, Mode::empty()) {
                    self.sweep(&below, &format!("{path}%"), moments);
                }
            }
            if self.aim.hits(&name) && self.exchange(directory, &name, &path, kind) {
                moments.push(now());
            }
        }
    }

    /// Exchanges a name for its link, or back.
    fn exchange(&self, directory: &OwnedFd, name: &str, link: &str, kind: FileType) -> bool {
        let links = self.links.as_fd();
        let exchange = || renameat_with(directory, name, links, link, RenameFlags::EXCHANGE);
        match exchange() {
            Err(Errno::NOENT) => {
                let target = self.setting.target(name, kind);
                symlinkat(&target, links, link).is_ok() && exchange().is_ok()
            }
            exchanged => exchanged.is_ok(),
        }
    }
}

/// Returns the time of day.
pub(super) fn now() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

fn open(directory: &std::path::Path) -> OwnedFd {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, directory, flags, Mode::empty()).unwrap()
}
