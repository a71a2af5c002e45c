//! Runs the phases and the worker threads, and holds what they share.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use super::cancel::Cancel;
use super::counters::Counters;
use super::deletions::Candidate;
use super::directories::compare_roots;
use super::directory::{Directory, Origin};
use super::events::{Event, Events, Phase};
use super::planner::FileTask;
use super::queue::{Planned, Queue};
use super::slots::Slot;
use super::source::{Content, End, Listing, Next, Part, SourceError};
use super::state::{StateKeeper, new_run_id};
use super::summary::{Fatal, Summary};
use super::workers::Crew;
use super::write_back::WriteBack;
use super::{DestinationRoot, Job, Operation, Options};
use crate::activity::{self, Activity};
use crate::apply::remove::Budget;
use crate::entry::{DirId, Entry, Escaped, Inode};
use crate::fs::ability::Ability;
use crate::fs::copy::{Copier, Ladder};
use crate::fs::{Dir, FsError, xattr};
use crate::plan::guard::Refusal;
use crate::plan::heartbeat;
use crate::plan::links::Links;
use crate::plan::names::{NameHasher, TempNames};
use crate::plan::sightings::Sightings;
use crate::tree::node::lock;
use crate::tree::{HandlePool, Node};
use crate::watch::{self, Roster};

/// Wait of one planning turn for a listing that comes from elsewhere.
const LISTING_WAIT: Duration = Duration::from_millis(200);

/// Runs a job to its end. Blocks; the work is done on threads of its own.
pub fn run(job: Job, events: Arc<dyn Events>, cancel: Cancel) -> Summary {
    let mut identity = job.identity;
    if identity.run_id.is_empty() {
        identity.run_id = new_run_id();
    }
    let counters = Counters::new();
    let switch = cancel.clone();
    match Run::prepare(
        job.destination,
        job.listing,
        job.content,
        job.options,
        &identity,
        events,
        cancel,
    ) {
        Ok(run) => run.execute(&identity.run_id),
        Err(fatal) => {
            let mut summary = counters.summary(&identity.run_id);
            summary.fatal = Some(fatal);
            ended_by(&switch, &mut summary);
            summary
        }
    }
}

/// Where a name is.
pub(super) type Place = (Arc<Directory>, Box<[u8]>);

/// Files of one directory and part.
pub(super) type Batch = Vec<FileTask>;

/// What all threads of a run share.
pub(crate) struct Run {
    pub(super) options: Options,
    pub(super) listing: Arc<dyn Listing>,
    pub(super) content: Content,
    pub(super) events: Arc<dyn Events>,
    pub(super) cancel: Cancel,
    pub(super) ability: Ability,
    pub(super) counters: Counters,
    pub(super) ladder: Ladder,
    pub(super) names: TempNames,
    /// New files are made without a name where their directory can be seen; known when the first is made.
    pub(super) nameless: OnceLock<bool>,
    /// A file without a name found no room. Where a name is made, xfs writes back what it holds and looks again.
    pub(super) only_names_find_room: AtomicBool,
    pub(super) hasher: NameHasher,
    pub(super) links: Mutex<Links<FileTask, Place>>,
    /// Inodes of the destination with several names.
    pub(super) sightings: Mutex<Sightings>,
    /// There was one.
    pub(super) sighted: AtomicBool,
    pub(super) state: StateKeeper,
    /// Something could not be given its final name, or not be removed, and stays under a temporary one.
    pub(super) leaves_something: AtomicBool,
    /// Where everything is to be on the device at the end.
    pub(super) write_back: Option<WriteBack>,
    pub(super) queue: Queue<Batch>,
    /// What the threads do.
    pub(super) roster: Arc<Roster>,
    /// Counts heartbeats: a batch that one beat passes leaves.
    pub(super) beats: AtomicU64,
    pub(super) directories: Mutex<HashMap<DirId, Slot>>,
    /// Parts that were read ahead to judge the tops.
    pub(super) ready: Mutex<VecDeque<Part>>,
    pub(super) candidates: Mutex<Vec<Candidate>>,
    pub(super) deferred: Mutex<Vec<FileTask>>,
    pub(super) missed: Mutex<Vec<FileTask>>,
    /// Of a dry run: how many names of an inode that has several would go.
    pub(super) gone: Mutex<HashMap<Inode, u32>>,
    fatal: Mutex<Option<Fatal>>,
    /// What was waited for when nothing moved the last time.
    pub(super) waited: Mutex<Option<String>>,
    /// There is such a reason: asked for every file, by all workers.
    ended: AtomicBool,
    full: Mutex<Option<Vec<u8>>>,
    pub(super) refusal: Mutex<Option<Refusal>>,
    pub(super) root: Arc<Directory>,
    /// The root of a source on this host.
    pub(super) source_here: Option<Inode>,
    /// Deletions that the guard approved and that were not done yet.
    pub(super) budget: Budget,
    /// The source has nothing, and a mirror of that was allowed.
    pub(super) source_empty: AtomicBool,
    /// How many there are, and how many there should be.
    pub(super) crew: Crew,
}

impl Run {
    fn prepare(
        destination: Dir,
        listing: Arc<dyn Listing>,
        content: Content,
        options: Options,
        identity: &super::RunIdentity,
        events: Arc<dyn Events>,
        cancel: Cancel,
    ) -> Result<Arc<Self>, Fatal> {
        let unreadable = |errno| Fatal::Destination(FsError::new("read", b"", errno));
        let meta = destination.stat_self().map_err(unreadable)?;
        let node = Node::root(destination, HandlePool::new()).map_err(unreadable)?;
        let root = node.open().map_err(Fatal::Destination)?;
        let missing = options.destination == DestinationRoot::Missing;
        let state = match (options.dry_run, missing) {
            (_, true) => StateKeeper::without(root)?,
            (true, false) => StateKeeper::look(root)?,
            (false, false) => StateKeeper::open(root, identity, &*events, &cancel)?,
        };
        let mut source_root = listing.root()?;
        if source_root.xattrs.is_none() {
            source_root.xattrs = match &content {
                Content::Handles(handles) => handles
                    .directory(DirId::ROOT)
                    .ok()
                    .and_then(|dir| xattr::of_fd(dir.as_fd()).ok()),
                Content::Arriving { .. } => None,
            };
        }
        let mut ability = Ability::probe();
        if options.without_special_files {
            ability = ability.without_special_files();
        }
        ability.owner = options.owner;
        let source_here = matches!(content, Content::Handles(_)).then(|| source_root.meta.inode());
        let (item, not_kept) = compare_roots(&source_root, &node, &meta, &ability);
        let root = Directory::new(
            node,
            DirId::ROOT,
            source_root,
            None,
            match missing {
                true => Origin::New,
                false => Origin::Existing,
            },
            false,
            item,
        );
        let remote = matches!(content, Content::Arriving { .. });
        let crew = Crew::new(&options, remote);
        let queue = Queue::new(crew.least(), crew.wanted(), remote).blocked(options.block_queue);
        let run = Arc::new(Self {
            write_back: (remote && options.fsync && !options.dry_run).then(WriteBack::new),
            options,
            listing,
            content,
            events,
            cancel,
            ability,
            counters: Counters::new(),
            ladder: Ladder::default(),
            nameless: OnceLock::new(),
            only_names_find_room: AtomicBool::new(false),
            names: TempNames::new(&identity.run_id),
            hasher: NameHasher::default(),
            links: Mutex::default(),
            sightings: Mutex::default(),
            sighted: AtomicBool::new(false),
            state,
            queue,
            roster: Roster::new(),
            beats: AtomicU64::new(0),
            directories: Mutex::default(),
            ready: Mutex::default(),
            candidates: Mutex::default(),
            deferred: Mutex::default(),
            missed: Mutex::default(),
            gone: Mutex::default(),
            fatal: Mutex::default(),
            waited: Mutex::default(),
            ended: AtomicBool::new(false),
            full: Mutex::default(),
            refusal: Mutex::default(),
            root: Arc::clone(&root),
            source_here,
            budget: Budget::default(),
            leaves_something: AtomicBool::new(false),
            source_empty: AtomicBool::new(false),
            crew,
        });
        run.note_kinds(Vec::new, &not_kept);
        root.hold();
        lock(&run.directories).insert(DirId::ROOT, Slot::Known(root));
        if let Content::Arriving { arrivals, .. } = &run.content {
            arrivals.attach(&run);
        }
        Ok(run)
    }

    fn execute(self: &Arc<Self>, run_id: &str) -> Summary {
        let finished = (Mutex::new(false), Condvar::new());
        // Before anybody works: a small tree may be done, and its root forgotten, before the thread begins.
        let roots = self.root_paths();
        let sync = std::thread::scope(|scope| {
            // Also where this thread panics: the others are waited for before that is known.
            let _ending = AtEnd(|| {
                *lock(&finished.0) = true;
                finished.1.notify_all();
                self.counters.ledger.close();
                self.write_back.as_ref().map(WriteBack::close);
            });
            scope.spawn(|| self.watch(&roots, &finished));
            scope.spawn(|| self.counters.ledger.watch());
            if let Some(write_back) = &self.write_back {
                scope.spawn(|| write_back.work());
            }
            let enlisted = self.roster.enlist();
            let sync = self.phases();
            drop(enlisted);
            // Of a run that ends early some may be on its way.
            if let Content::Arriving { arrivals, .. } = &self.content {
                arrivals.close();
            }
            sync
        });
        self.event(&Event::Progress(self.counters.progress()));
        let mut summary = self.counters.summary(run_id);
        summary.dry_run = self.options.dry_run;
        summary.strict = self.options.strict;
        summary.proven = self.options.verify.then(|| self.counters.proven());
        summary.refusal = lock(&self.refusal).take();
        summary.fatal = lock(&self.fatal).take();
        ended_by(&self.cancel, &mut summary);
        if summary.stalled && summary.fatal.is_none() {
            summary.fatal = lock(&self.waited).take().map(Fatal::Deadline);
        }
        summary.fast_path = self.counters.fast_path(&summary);
        summary.workers = self.crew.proven();
        summary.sync = sync;
        summary
    }

    fn phases(self: &Arc<Self>) -> Option<Duration> {
        self.counters.ledger.join();
        let _planning = activity::during(Activity::Scan);
        self.event(&Event::Phase(Phase::Copy));
        self.note_reserved_name();
        if self.options.operation == Operation::Mirror {
            match self.judge_tops() {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => {
                    *lock(&self.refusal) = Some(refusal);
                    return None;
                }
                Err(fatal) => {
                    self.end(fatal);
                    return None;
                }
            }
        }
        self.work();
        let mut copied_all = !self.must_end();
        // What found no space is tried once more after the deletions have made some.
        let full = !lock(&self.missed).is_empty();
        if copied_all && self.options.operation == Operation::Mirror {
            self.event(&Event::Phase(Phase::Delete));
            self.delete();
            copied_all = !self.must_end();
        }
        if copied_all && (full || lock(&self.full).is_some()) {
            // What earlier runs had begun may be what fills it. It goes also if this run does not succeed.
            self.sweep();
            self.repeat_missed();
            copied_all = !self.must_end();
        }
        if copied_all {
            // The deletions may have taken just those names that were not the group's.
            self.part_from_foreign_names();
            copied_all = !self.must_end();
        }
        if let Some(path) = lock(&self.full).take() {
            self.end(Fatal::DestinationFull(Escaped(&path).to_string()));
            copied_all = false;
        }
        self.event(&Event::Phase(Phase::Finish));
        self.finish(copied_all)
    }

    pub(super) fn plan_next(self: &Arc<Self>, copier: &mut Copier) -> Planned {
        if let Some(part) = lock(&self.ready).pop_front() {
            self.plan(part, copier);
            return Planned::Part;
        }
        let listed = {
            let _scanning = activity::during(self.listing_activity());
            self.listing.next(self.listing_wait())
        };
        match listed {
            Ok(Next::Part(part)) => {
                watch::works();
                self.queue.part_taken();
                self.plan(part, copier);
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

    /// A listing from elsewhere is waited for; one of this host is made by the thread that asks for it.
    fn listing_activity(&self) -> Activity {
        match &self.content {
            Content::Handles(_) => Activity::Scan,
            Content::Arriving { .. } => Activity::Wait,
        }
    }

    /// How long a turn of planning may take for its part of a listing.
    pub(super) fn listing_wait(&self) -> Duration {
        match &self.content {
            Content::Handles(_) => heartbeat::interval(self.queue.is_starved()),
            Content::Arriving { .. } => LISTING_WAIT,
        }
    }

    fn repeat_missed(self: &Arc<Self>) {
        let missed = std::mem::take(&mut *lock(&self.missed));
        let mut copier = Copier::default();
        for task in missed {
            if self.must_end() {
                return;
            }
            self.apply(vec![task], &mut copier);
        }
        self.work();
        let still = std::mem::take(&mut *lock(&self.missed));
        if let Some(first) = still.first() {
            self.full(&first.path());
        }
        for task in &still {
            self.counters.files_failed.fetch_add(1, Relaxed);
            self.lead_instead(task);
        }
    }

    /// There was no space for a directory or node. Deletions may make some for a later run.
    pub(super) fn full(&self, path: &[u8]) {
        lock(&self.full).get_or_insert_with(|| path.to_vec());
    }

    /// Ends the run early; the first reason stays.
    pub(super) fn end(&self, fatal: Fatal) {
        lock(&self.fatal).get_or_insert(fatal);
        self.abandon();
    }

    /// Nothing new is begun.
    pub(super) fn abandon(&self) {
        self.ended.store(true, Relaxed);
        self.queue.stop();
        if let Content::Arriving { wants, .. } = &self.content {
            wants.give_up();
        }
    }

    /// The session with the source is over.
    pub(super) fn lost(&self, error: SourceError) {
        self.end(Fatal::Source(error));
    }

    pub(super) fn must_end(&self) -> bool {
        self.cancel.is_cancelled() || self.ended.load(Relaxed)
    }
}

/// Does something when it goes, however its scope ends.
pub(super) struct AtEnd<F: FnMut()>(pub(super) F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn ended_by(cancel: &Cancel, summary: &mut Summary) {
    summary.stalled = cancel.is_stalled();
    summary.interrupted = cancel.is_cancelled() && !summary.stalled;
}

/// Reads how a directory's listing ended.
pub(super) fn incomplete_reason(end: &End) -> Option<String> {
    match end {
        End::Complete { .. } | End::NotEntered => None,
        End::Incomplete { reason } => Some(reason.clone()),
    }
}

/// Returns the extended attributes of a source entry, reading them where the listing did not bring them.
pub(super) fn source_xattrs(
    entry: &Entry,
    source_dir: Option<&Dir>,
) -> Result<crate::entry::Xattrs, FsError> {
    match (&entry.xattrs, source_dir) {
        (Some(xattrs), _) => Ok(xattrs.clone()),
        (None, Some(dir)) => xattr::of_name(dir, &entry.name)
            .map_err(|errno| FsError::new("read attributes of", &entry.name, errno)),
        (None, None) => Ok(crate::entry::Xattrs::default()),
    }
}
