//! Comparing the content of files, large ones by several threads at once.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use super::Verifier;
use super::place::Place;
use crate::entry::{Entry, Meta};
use crate::fs::Dir;
use crate::fs::dir::stat_fd;
use crate::fs::same::{CompareError, Comparer, Side};
use crate::run::events::Event;
use crate::tree::node::lock;
use crate::tree::{ReadStatus, SourceFile};

/// Reads that may be torn before a file is called unstable.
const READS: u8 = 3;
/// From this size on threads that have nothing else to do help.
const LARGE: u64 = 64 * 1024 * 1024;
/// What one thread compares before it looks for more.
const SHARE: u64 = 16 * 1024 * 1024;

/// A file whose content is to be compared.
pub(super) struct Check {
    pub(super) place: Arc<Place>,
    pub(super) source: Arc<Dir>,
    pub(super) there: Arc<Dir>,
    pub(super) entry: Entry,
    /// Nothing else of it differs.
    pub(super) clean: bool,
}

/// What a worker does.
pub(super) enum Work {
    /// Compares files.
    Files(Vec<Check>),
    /// Helps with a large one.
    Help(Arc<Opened>),
}

/// A file that is open on both sides.
pub(super) struct Opened {
    source: SourceFile,
    there: OwnedFd,
    found: Meta,
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    next: u64,
    active: usize,
    result: Option<Found>,
    /// Who has taken it reports the file.
    check: Option<(Check, u8)>,
}

/// What comparing a file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Same,
    Different,
    Failed(String),
    Torn,
    Cancelled,
}

impl Verifier {
    pub(super) fn compare(&self, work: Work, comparer: &mut Comparer) {
        match work {
            Work::Files(checks) => {
                for check in checks {
                    if self.must_end() {
                        return;
                    }
                    self.compare_file(check, 0, comparer);
                }
            }
            Work::Help(file) => self.help(&file, comparer),
        }
    }

    fn compare_file(&self, check: Check, mut attempt: u8, comparer: &mut Comparer) {
        loop {
            let file = match Opened::new(&check) {
                Ok(file) => file,
                Err(found) => return self.compared(&check, found),
            };
            let size = file.source.entry().meta.size;
            if size >= LARGE && self.workers > 1 {
                lock(&file.shares).check = Some((check, attempt));
                let file = Arc::new(file);
                for _ in 1..self.workers {
                    // A full queue has enough to do for everybody.
                    let _ = self.queue.offer(Work::Help(Arc::clone(&file)));
                }
                return self.help(&file, comparer);
            }
            let found = match self.range(&file, 0, size, comparer) {
                Found::Same => file.status(),
                other => other,
            };
            attempt += 1;
            if found != Found::Torn || attempt == READS || self.must_end() {
                return self.compared(&check, found);
            }
        }
    }

    /// Takes shares of a large file until there are none. Whoever ends the last one reports the file.
    fn help(&self, file: &Opened, comparer: &mut Comparer) {
        while let Some((from, to)) = file.take() {
            let found = self.range(file, from, to, comparer);
            let mut shares = lock(&file.shares);
            shares.active -= 1;
            if found != Found::Same {
                shares.result.get_or_insert(found);
            }
        }
        let Some((check, attempt, result)) = file.ended() else {
            return;
        };
        let found = result.unwrap_or_else(|| file.status());
        if found == Found::Torn && attempt + 1 < READS && !self.must_end() {
            return self.compare_file(check, attempt + 1, comparer);
        }
        self.compared(&check, found);
    }

    fn range(&self, file: &Opened, from: u64, to: u64, comparer: &mut Comparer) -> Found {
        let first = Side {
            fd: file.source.fd(),
            sparse: file.source.entry().meta.is_sparse(),
        };
        let second = Side {
            fd: file.there.as_fd(),
            sparse: file.found.is_sparse(),
        };
        let mut compared = |bytes| {
            self.counters.bytes_compared.fetch_add(bytes, Relaxed);
            !self.must_end()
        };
        let cannot =
            |what, errno| Found::Failed(format!("cannot read the {what}'s content: {errno}"));
        match comparer.same(first, second, from, to, &mut compared) {
            Ok(true) => Found::Same,
            Ok(false) => Found::Different,
            Err(CompareError::First(errno)) => cannot("source", errno),
            Err(CompareError::Second(errno)) => cannot("destination", errno),
            Err(CompareError::Cancelled) => Found::Cancelled,
        }
    }

    fn compared(&self, check: &Check, found: Found) {
        let path = || check.place.path_of(&check.entry.name);
        match found {
            Found::Same => self.dealt_with(&check.entry, check.clean),
            Found::Different => {
                self.differ(&path(), &["content"]);
                self.dealt_with(&check.entry, false);
            }
            Found::Failed(message) => self.failed(&path(), &message),
            Found::Torn => {
                self.counters.unstable.fetch_add(1, Relaxed);
                self.event(&Event::Note {
                    path: &path(),
                    kind: "unstable",
                    message: "changed each time it was read".to_owned(),
                });
            }
            Found::Cancelled => {}
        }
    }
}

impl Opened {
    fn new(check: &Check) -> Result<Self, Found> {
        let source =
            SourceFile::open(&check.source, &check.entry).map_err(|status| match status {
                ReadStatus::Vanished => Found::Failed("is gone from the source".to_owned()),
                ReadStatus::Failed(message) => Found::Failed(format!("{message} (source)")),
                ReadStatus::Stable | ReadStatus::Changed | ReadStatus::Altered => Found::Torn,
            })?;
        let cannot = |errno| Found::Failed(format!("cannot open (destination): {errno}"));
        let there = check.there.open_file(&check.entry.name).map_err(cannot)?;
        let found = stat_fd(there.as_fd()).map_err(cannot)?;
        if found.size != source.entry().meta.size {
            return Err(Found::Different);
        }
        Ok(Self {
            source,
            there,
            found,
            shares: Mutex::default(),
        })
    }

    /// Tells whether what was the same is so still, on both sides.
    fn status(&self) -> Found {
        let there = stat_fd(self.there.as_fd());
        match self.source.verify() {
            ReadStatus::Stable if there.is_ok_and(|now| now.same_state(&self.found)) => Found::Same,
            ReadStatus::Failed(message) => Found::Failed(message),
            _ => Found::Torn,
        }
    }

    fn take(&self) -> Option<(u64, u64)> {
        let mut shares = lock(&self.shares);
        let size = self.found.size;
        if shares.next >= size || shares.result.is_some() {
            return None;
        }
        let from = shares.next;
        shares.next = size.min(from + SHARE);
        shares.active += 1;
        Some((from, shares.next))
    }

    /// Returns the file with what is known of it, once, when nobody is at it any more.
    fn ended(&self) -> Option<(Check, u8, Option<Found>)> {
        let mut shares = lock(&self.shares);
        if shares.active > 0 {
            return None;
        }
        let (check, attempt) = shares.check.take()?;
        Some((check, attempt, shares.result.take()))
    }
}
