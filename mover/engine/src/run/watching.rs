//! The thread that looks at the others: the heartbeat, calls that take long, and the end of a run that stands still.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex, PoisonError};

use super::events::Event;
use super::orchestrator::Run;
use super::source::{Content, Elsewhere};
use super::summary::Fatal;
use crate::entry::{DirId, Escaped};
use crate::plan::heartbeat::Heart;
use crate::plan::stall::{Detector, EVERY, LIMIT, Look};
use crate::tree::node::lock;
use crate::watch::{Call, Doing, Seen, Wait, root_path};

impl Run {
    /// Looks at the run until it is finished; names what lies below the roots relative to them.
    pub(super) fn watch(&self, roots: &[Vec<u8>], finished: &(Mutex<bool>, Condvar)) {
        let (mut heart, mut detector, mut last) = (Heart::default(), Detector::default(), None);
        let mut done = lock(&finished.0);
        loop {
            let waited = finished.1.wait_timeout(done, EVERY);
            done = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *done {
                return;
            }
            drop(done);
            let now = self.counters.started.elapsed();
            if heart.beats(now, self.queue.starves()) {
                self.beats.fetch_add(1, Relaxed);
                self.note_hashed();
                self.event(&Event::Progress(self.counters.progress()));
                // Also of a run that waits for its source.
                self.is_owner();
            }
            self.look_at_workers(now);
            let threads = self.roster.look();
            let elsewhere = self.listing.elsewhere();
            if let (true, Content::Arriving { wants, .. }) = (self.must_end(), &self.content) {
                // Whoever waits for the source would not notice.
                wants.give_up();
            }
            let look = Look {
                threads: &threads,
                moved: self.counters.bytes_copied.load(Relaxed),
                busy_elsewhere: matches!(elsewhere, Elsewhere::Busy(_)),
            };
            let achieved = achieved(&look);
            if last.replace(achieved) == Some(achieved) {
                let waiting = self.waiting_for(&threads, roots, &elsewhere);
                // Whoever is told to give up waits no more: then what was waited for before counts.
                if !self.must_end() {
                    *lock(&self.waited) = Some(waiting);
                }
            }
            let finding = detector.look(now, &look);
            for slow in &finding.slow {
                if !self.tell_slow(slow, roots) {
                    detector.not_yet(slow.thread);
                }
            }
            if finding.stalled {
                let waiting = self.waiting_for(&threads, roots, &elsewhere);
                self.end(Fatal::Stalled(LIMIT.as_secs(), waiting));
            }
            done = lock(&finished.0);
        }
    }

    /// Takes what a source on another host has hashed, as long as it owes a hash: at any other time that brings the run no further,
    /// whatever it says.
    fn note_hashed(&self) {
        let Content::Arriving { arrivals, .. } = &self.content else {
            return;
        };
        let (known, told) = (&self.counters.bytes_hashed, self.listing.hashed_elsewhere());
        if told > known.load(Relaxed) && arrivals.hashes_missing().is_some() {
            known.store(told, Relaxed);
        }
    }

    /// Names a call that takes long; false if it has ended, or it is the network that takes long.
    fn tell_slow(&self, slow: &Seen, roots: &[Vec<u8>]) -> bool {
        let Doing::Call(call) = slow.doing else {
            return true;
        };
        match self.roster.object(slow) {
            Some(object) if !object.waits_for_socket => {
                self.event(&Event::Slow {
                    call: Call::name(call),
                    path: object.below(roots),
                    took: LIMIT,
                });
                true
            }
            _ => false,
        }
    }

    /// Returns the paths of the roots on this host.
    pub(super) fn root_paths(&self) -> Vec<Vec<u8>> {
        let destination = self.root.node.open().ok();
        let source = match &self.content {
            Content::Handles(handles) => handles.directory(DirId::ROOT).ok(),
            Content::Arriving { .. } => None,
        };
        [destination, source]
            .iter()
            .flatten()
            .filter_map(|root| root_path(root.as_fd()))
            .collect()
    }

    /// Says what everybody waits for.
    fn waiting_for(&self, threads: &[Seen], roots: &[Vec<u8>], elsewhere: &Elsewhere) -> String {
        let waits: HashSet<Wait> = threads
            .iter()
            .filter_map(|seen| match seen.doing {
                Doing::Idle(wait) => Some(wait),
                Doing::Busy | Doing::Call(_) => None,
            })
            .collect();
        let mut waited: Vec<String> = threads
            .iter()
            .filter_map(|seen| self.roster.in_call(seen, roots))
            .collect();
        if waits.contains(&Wait::Listing) {
            waited.push("the listing of the source".to_owned());
        }
        let (outstanding, listed) = self.queue.outstanding();
        if let Content::Arriving { arrivals, .. } = &self.content {
            let hashes = arrivals.hashes_missing();
            // Files that are being compared are outstanding as well.
            let files = outstanding.saturating_sub(arrivals.hashes.undecided());
            match arrivals.oldest() {
                Some(oldest) => waited.push(missing("content", files.max(1), Some(&oldest))),
                // The end of a file may come before its last piece: then it is not looked for any more.
                None if files > 0 && hashes.is_none() => {
                    waited.push(missing("content", files, None));
                }
                None => {}
            }
            if let Some((files, oldest)) = hashes {
                waited.push(missing("hashes", files, Some(&oldest)));
            }
        }
        if waits.contains(&Wait::Window) {
            waited.push("room in the window of files that are under way".to_owned());
        }
        if waits.contains(&Wait::Message) {
            waited.push("the source to take a message".to_owned());
        }
        if waits.contains(&Wait::Relist) {
            waited.push("the source to list a directory again".to_owned());
        }
        let queued = self.queue.peek(|batches| {
            let first = batches.front().and_then(|batch| batch.first());
            let files = batches.iter().map(Vec::len).sum();
            first.map(|task| (batches.len(), files, task.path()))
        });
        if let Some((batches, files, first)) = queued {
            waited.push(format!(
                "a turn at the queue, which holds {} of {}, the first {}",
                count(batches, "batch"),
                count(files, "file"),
                Escaped(&first)
            ));
        }
        if waited.is_empty() {
            let missing = if listed { "the end of" } else { "more of" };
            waited.push(format!("{missing} the listing, which nobody has in hand"));
        }
        let mut text = waited.join(", and for ");
        if let Elsewhere::Idle(what) | Elsewhere::Busy(what) = elsewhere
            && !what.is_empty()
        {
            text.push_str(&format!("; the source waited for {what}"));
        }
        text
    }
}

/// Sums up what shows that something moves.
fn achieved(look: &Look<'_>) -> u64 {
    let stamps = look.threads.iter().map(|seen| seen.stamp);
    stamps.fold(look.moved, u64::wrapping_add)
}

/// Says what does not come from the source, of how many files.
fn missing(what: &str, files: usize, oldest: Option<&[u8]>) -> String {
    let files = count(files, "file");
    match oldest {
        Some(oldest) => format!(
            "{what} of {files} from the source, the oldest {}",
            Escaped(oldest)
        ),
        None => format!("{what} of {files} from the source"),
    }
}

fn count(n: usize, what: &str) -> String {
    match (n, what) {
        (1, _) => format!("1 {what}"),
        (_, "batch") => format!("{n} batches"),
        _ => format!("{n} {what}s"),
    }
}
