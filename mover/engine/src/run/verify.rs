//! Comparing two trees of this host without writing anything: every difference is an event.
//!
//! It shares the scan, the comparison and the queue of a run, and compares everything a mirror would make
//! equal: kinds, content byte by byte, targets, device numbers, owners, modes, times, extended attributes,
//! link groups, and what only the destination has. What this process could not keep is no difference, but
//! counted, as in a run.
//!
//! Non-goals: repairing; trees on other hosts.

mod attributes;
mod content;
mod extraneous;
mod pairs;
mod place;

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::cancel::Cancel;
use super::counters::Counters;
use super::events::{Event, Events, Phase};
use super::orchestrator::incomplete_reason;
use super::queue::{Planned, Queue, Turn};
use super::source::{Handles, Listing, Next, Part};
use super::state::new_run_id;
use super::summary::{Fatal, Summary};
use super::workers::{STACK, default_workers};
use crate::entry::{DirId, Entry, Kind};
use crate::fs::ability::Ability;
use crate::fs::same::Comparer;
use crate::fs::{Dir, Errno, FsError, xattr};
use crate::plan::heartbeat;
use crate::plan::names::NameHasher;
use crate::tree::node::lock;
use crate::tree::{HandlePool, LocalSource, Node};
use content::{Check, Work};
use pairs::Pairs;
use place::{Place, There};

/// Files after which a batch is queued.
const BATCH_FILES: usize = 64;
/// Bytes after which a batch is queued.
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// Two trees to compare.
#[derive(Debug)]
pub struct Verification {
    /// What should be.
    pub source: Arc<LocalSource>,
    /// What is.
    pub destination: Dir,
    /// Number of worker threads; `None` is as many as a run has.
    pub workers: Option<usize>,
}

/// Compares both trees. Blocks; the work is done on threads of its own.
pub fn verify(job: Verification, events: Arc<dyn Events>, cancel: Cancel) -> Summary {
    let counters = Counters::new();
    let run_id = new_run_id();
    let workers = job.workers.unwrap_or_else(default_workers).max(1);
    let verifier = Verifier {
        source: job.source,
        events,
        cancel,
        ability: Ability::probe(),
        counters,
        hasher: NameHasher::default(),
        queue: Queue::new(workers, workers, false),
        places: Mutex::default(),
        pairs: Mutex::default(),
        fatal: Mutex::default(),
        workers,
    };
    if let Err(fatal) = verifier.begin(job.destination) {
        verifier.end(fatal);
    } else {
        verifier.execute();
    }
    verifier.event(&Event::Progress(verifier.counters.progress()));
    let mut summary = verifier.counters.summary(&run_id);
    summary.fatal = lock(&verifier.fatal).take();
    summary.stalled = verifier.cancel.is_stalled();
    summary.interrupted = verifier.cancel.is_cancelled() && !summary.stalled;
    summary
}

/// What all threads share.
struct Verifier {
    source: Arc<LocalSource>,
    events: Arc<dyn Events>,
    cancel: Cancel,
    ability: Ability,
    counters: Counters,
    hasher: NameHasher,
    queue: Queue<Work>,
    places: Mutex<HashMap<DirId, Slot>>,
    pairs: Mutex<Pairs>,
    fatal: Mutex<Option<Fatal>>,
    workers: usize,
}

/// A directory that is known, or parts of its listing that came before it.
enum Slot {
    Known(Arc<Place>),
    Parked(Vec<Part>),
}

impl Verifier {
    fn begin(&self, destination: Dir) -> Result<(), Fatal> {
        let unreadable = |errno| Fatal::Destination(FsError::new("read", b"", errno));
        let existing = destination.stat_self().map_err(unreadable)?;
        let node = Node::root(destination, HandlePool::new()).map_err(unreadable)?;
        let entry = Listing::root(&*self.source)?;
        let xattrs = {
            use std::os::fd::AsFd;
            let source = self.source.root_dir().map_err(Fatal::Destination)?;
            let wanted = xattr::of_fd(source.as_fd()).map_err(unreadable)?;
            let there = node.open().map_err(Fatal::Destination)?;
            (wanted, xattr::of_fd(there.as_fd()).map_err(unreadable)?)
        };
        let place = Place::root(node);
        let found = self.attributes(&entry.meta, &existing, &xattrs.0, &xattrs.1, Vec::new);
        self.differ(&[], &found);
        lock(&self.places).insert(DirId::ROOT, Slot::Known(place));
        Ok(())
    }

    fn execute(&self) {
        self.event(&Event::Phase(Phase::Copy));
        let finished = (Mutex::new(false), Condvar::new());
        std::thread::scope(|scope| {
            scope.spawn(|| self.beat(&finished));
            std::thread::scope(|scope| {
                for n in 1..self.workers {
                    let builder = std::thread::Builder::new()
                        .name(format!("worker-{n}"))
                        .stack_size(STACK);
                    // Without a thread the others do its work.
                    let _ = builder.spawn_scoped(scope, || self.work());
                }
                self.work();
            });
            *lock(&finished.0) = true;
            finished.1.notify_all();
        });
    }

    fn beat(&self, finished: &(Mutex<bool>, Condvar)) {
        let mut done = lock(&finished.0);
        while !*done {
            let waited = finished.1.wait_timeout(done, heartbeat::NORMAL);
            done = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !*done {
                self.event(&Event::Progress(self.counters.progress()));
            }
        }
    }

    fn work(&self) {
        let mut comparer = Comparer::default();
        loop {
            match self.queue.turn(|| self.must_end()) {
                Turn::End => return,
                Turn::Apply(work) => {
                    self.compare(work, &mut comparer);
                    self.queue.applied();
                }
                Turn::Plan => {
                    let planned = self.plan_next(&mut comparer);
                    if self.queue.planned(planned) {
                        self.counters.scan_complete.store(true, Relaxed);
                    }
                }
            }
        }
    }

    fn plan_next(&self, comparer: &mut Comparer) -> Planned {
        let wait = heartbeat::interval(self.queue.is_starved());
        match self.source.next(wait) {
            Ok(Next::Part(part)) => {
                self.plan(part, comparer);
                Planned::Part
            }
            Ok(Next::Pending) => Planned::Nothing,
            Ok(Next::Finished) => Planned::Finished,
            Err(error) => {
                self.end(Fatal::Source(error));
                Planned::Nothing
            }
        }
    }

    /// Compares a part if its directory is known, with all parts that waited for directories it names.
    fn plan(&self, part: Part, comparer: &mut Comparer) {
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            let place = {
                let mut places = lock(&self.places);
                match places
                    .entry(part.dir)
                    .or_insert_with(|| Slot::Parked(Vec::new()))
                {
                    Slot::Known(place) => Arc::clone(place),
                    Slot::Parked(parked) => {
                        parked.push(part);
                        continue;
                    }
                }
            };
            self.plan_part(&place, part, &mut parts, comparer);
        }
    }

    fn plan_part(
        &self,
        place: &Arc<Place>,
        part: Part,
        parts: &mut Vec<Part>,
        comparer: &mut Comparer,
    ) {
        let sides = self.sides(place, part.dir);
        let mut checks = Vec::new();
        let mut bytes = 0;
        let hashes: Vec<u64> = (part.entries.iter())
            .map(|entry| self.hasher.hash(&entry.name))
            .collect();
        for entry in part.entries {
            if self.must_end() {
                return;
            }
            let child = entry.dir;
            let size = entry.meta.size;
            let (there, check) = self.judge(place, sides.as_ref(), entry);
            if let Some((id, place)) = child.zip(there) {
                self.register(id, place, parts);
            }
            if let Some(check) = check {
                checks.push(check);
                bytes += size;
            }
            if checks.len() >= BATCH_FILES || bytes >= BATCH_BYTES {
                bytes = 0;
                self.offer(std::mem::take(&mut checks), comparer);
            }
        }
        if !checks.is_empty() {
            self.offer(checks, comparer);
        }
        self.source.done(part.dir, part.part, false);
        let end = part.end.map(|end| (part.part + 1, incomplete_reason(&end)));
        if let Some((seen, incomplete)) = place.planned(hashes, end) {
            lock(&self.places).remove(&part.dir);
            match (incomplete, &sides) {
                (Some(reason), _) => self.failed(&place.path(), &reason),
                (None, Some(sides)) => self.extraneous(place, &sides.there, &seen),
                (None, None) => {}
            }
        }
    }

    /// Opens both sides of a directory; `None` if there is nothing to compare with.
    fn sides(&self, place: &Place, id: DirId) -> Option<Sides> {
        let There::Directory(node) = &place.there else {
            return None;
        };
        let opened = self.source.directory(id).and_then(|source| {
            Ok(Sides {
                source,
                there: node.open()?,
            })
        });
        opened
            .map_err(|error| {
                // Its entries are neither missing nor found.
                if place.fails_first() {
                    self.failed(&place.path(), &error.brief());
                }
            })
            .ok()
    }

    /// Compares all but the content of one entry. Returns the place of a directory, and what is left to do
    /// for a file.
    fn judge(
        &self,
        place: &Arc<Place>,
        sides: Option<&Sides>,
        entry: Entry,
    ) -> (Option<Arc<Place>>, Option<Check>) {
        let is_directory = entry.meta.kind == Kind::Directory;
        self.count(&entry);
        let path = || place.path_of(&entry.name);
        let child = |there| is_directory.then(|| Place::child(place, &entry.name, there));
        let unknown = matches!(place.there, There::Unreadable) || place.failed();
        let Some(sides) = sides else {
            if !unknown {
                self.missing(&path(), &entry);
                return (child(There::Missing), None);
            }
            self.counters
                .files_failed
                .fetch_add(u64::from(!is_directory), Relaxed);
            return (child(There::Unreadable), None);
        };
        let existing = match sides.there.stat(&entry.name) {
            Ok(meta) => meta,
            Err(Errno::NOENT) => {
                self.missing(&path(), &entry);
                return (child(There::Missing), None);
            }
            Err(errno) => {
                self.failed(&path(), &format!("cannot read attributes: {errno}"));
                return (child(There::Unreadable), None);
            }
        };
        if existing.kind != entry.meta.kind {
            self.differ(&path(), &["kind"]);
            self.dealt_with(&entry, false);
            if existing.kind == Kind::Directory {
                self.extraneous_below(&sides.there, &entry.name, &path());
            }
            return (child(There::Missing), None);
        }
        let mut found = match self.of_kind(sides, &entry, &existing) {
            Ok(found) => found,
            Err(error) => {
                self.failed(&path(), &error.brief());
                return (child(There::Unreadable), None);
            }
        };
        if is_directory {
            self.differ(&path(), &found);
            let node = place.node(&entry.name, &existing);
            return (child(node.map_or(There::Missing, There::Directory)), None);
        }
        let pair = lock(&self.pairs).pair(&entry.meta, &existing);
        if !pair.right {
            found.push("links");
        }
        if entry.meta.kind == Kind::File && entry.meta.size != existing.size {
            found.push("content");
        } else if entry.meta.kind == Kind::File && entry.meta.size > 0 && pair.first {
            self.differ(&path(), &found);
            let check = Check {
                place: Arc::clone(place),
                source: Arc::clone(&sides.source),
                there: Arc::clone(&sides.there),
                clean: found.is_empty(),
                entry,
            };
            return (None, Some(check));
        }
        self.differ(&path(), &found);
        self.dealt_with(&entry, found.is_empty());
        (None, None)
    }

    fn register(&self, id: DirId, place: Arc<Place>, parts: &mut Vec<Part>) {
        if let Some(Slot::Parked(parked)) = lock(&self.places).insert(id, Slot::Known(place)) {
            parts.extend(parked);
        }
    }

    fn offer(&self, checks: Vec<Check>, comparer: &mut Comparer) {
        if let Some(work) = self.queue.offer(Work::Files(checks)) {
            self.compare(work, comparer);
        }
    }

    fn count(&self, entry: &Entry) {
        if entry.meta.kind != Kind::Directory {
            self.counters.files_total.fetch_add(1, Relaxed);
        }
        if entry.meta.kind == Kind::File {
            let size = entry.meta.size;
            self.counters.bytes_total.fetch_add(size, Relaxed);
        }
    }

    fn missing(&self, path: &[u8], entry: &Entry) {
        self.differ(path, &["missing"]);
        self.dealt_with(entry, false);
    }

    /// Counts an entry of which everything is known.
    fn dealt_with(&self, entry: &Entry, same: bool) {
        if entry.meta.kind == Kind::Directory {
            return;
        }
        let counter = if same {
            &self.counters.files_unchanged
        } else {
            &self.counters.files_different
        };
        counter.fetch_add(1, Relaxed);
        if entry.meta.kind == Kind::File {
            let size = entry.meta.size;
            self.counters.bytes_unchanged.fetch_add(size, Relaxed);
        }
    }

    fn differ(&self, path: &[u8], found: &[&'static str]) {
        for what in found {
            self.counters.differences.fetch_add(1, Relaxed);
            self.event(&Event::Difference { path, what });
        }
    }

    fn failed(&self, path: &[u8], message: &str) {
        self.counters.failed(path, message);
        self.event(&Event::Failed {
            path,
            message: message.to_owned(),
        });
    }

    fn event(&self, event: &Event<'_>) {
        self.events.event(event);
    }

    fn end(&self, fatal: Fatal) {
        lock(&self.fatal).get_or_insert(fatal);
        self.queue.stop();
    }

    fn must_end(&self) -> bool {
        self.cancel.is_cancelled() || lock(&self.fatal).is_some()
    }
}

/// Handles of a directory on both sides.
struct Sides {
    source: Arc<Dir>,
    there: Arc<Dir>,
}
