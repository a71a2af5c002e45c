//! `.blit/` at the top of a destination: who writes there, and what an earlier run left.
//!
//! It holds `lock` (an flock for as long as a run lives) and `state` (a line of JSON). It is made with the
//! first write of a run, so that a run that has nothing to do leaves no trace, and removed at the end. A
//! state whose lock is free was left by a run that was killed: temporary names with its id are ours.
//!
//! Invariant: the run that `state` names is the only one that gives names or removes them. A later attempt
//! of the same job puts its own state there, even before it has the lock; the earlier one looks again and
//! again, finds that, and stops. So a mover that was taken for dead, wakes up, and finds a lock that its
//! file system does not keep between hosts, does no harm.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::RunIdentity;
use super::cancel::Cancel;
use super::events::{Event, Events};
use super::summary::Fatal;
use crate::entry::Time;
use crate::fs::mounted::mounted;
use crate::fs::{Dir, FsError, clock};
use crate::plan::began::{Moment, began_seconds};
use crate::plan::compare::Crashed;
use crate::plan::names::{RUN_ID_LENGTH, is_run_id, run_id_of};
use crate::tree::node::lock;

mod folder;

use folder::{Folder, Previous, Record};

/// Name of the folder.
pub const STATE_DIR: &[u8] = b".blit";
/// Directory at the top of ext file systems that belongs to the file system.
pub(crate) const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Interrupted runs whose leftovers are remembered.
const PREVIOUS_MAX: usize = 64;
/// How old the last look at the state may be when something is written: so long may two attempts overlap.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long an attempt waits for an earlier one to let go: longer than an NFS server keeps the locks of a
/// client that is gone (90 s where nobody changed it).
const LOCK_PATIENCE: Duration = Duration::from_secs(100);
/// How often who waits looks at the state.
const WAITING_LOOK: Duration = Duration::from_secs(1);

/// Returns a new run id: twelve random characters.
pub fn new_run_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = [0; RUN_ID_LENGTH];
    // Not a secret: two runs only must not share one. The clock is good enough where getrandom fails.
    if rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).is_err() {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos());
        random.copy_from_slice(&nanos.to_le_bytes()[..RUN_ID_LENGTH]);
    }
    random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// The state of this run in the destination, and what earlier runs left.
#[derive(Debug)]
pub(crate) struct StateKeeper {
    root: Arc<Dir>,
    record: Record,
    /// When the run began, and the second of that as the wall clock counts now.
    began: Moment,
    started_seconds: AtomicI64,
    previous: Vec<Previous>,
    crashed: Option<Crashed>,
    written: AtomicBool,
    /// When the state was last seen to be ours, in milliseconds of the steady clock.
    looked: AtomicU64,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    folder: Folder,
    _lock: OwnedFd,
}

impl StateKeeper {
    /// Looks at what lies in the destination, and takes the lock if there is one. Writes nothing, unless an
    /// earlier attempt of the same job is still there: that is told to stop, and waited for.
    pub(crate) fn open(
        root: Arc<Dir>,
        identity: &RunIdentity,
        events: &dyn Events,
        cancel: &Cancel,
    ) -> Result<Self, Fatal> {
        let mut keeper = Self::new(root, identity)?;
        let until = Instant::now() + LOCK_PATIENCE;
        while let Some(folder) = Folder::find(&keeper.root)? {
            let lock_file = match folder.lock()? {
                Some(lock_file) => lock_file,
                None => keeper.displace(&folder, until, events, cancel)?,
            };
            // Its holder may have removed it before it let go.
            if folder.is_in(&keeper.root) {
                keeper.adopt(folder, lock_file)?;
                return Ok(keeper);
            }
        }
        // An earlier attempt that was waited for has finished after all, and left nothing.
        keeper.record.previous.clear();
        Ok(keeper)
    }

    /// Looks at what lies in the destination without leaving a trace, for a run that writes nothing. A run
    /// that is under way is an error, as for one that writes.
    pub(crate) fn look(root: Arc<Dir>) -> Result<Self, Fatal> {
        let mut keeper = Self::without(root)?;
        if let Some(folder) = Folder::find(&keeper.root)? {
            if folder.is_locked()? {
                let holder = folder.read();
                let name = holder.map_or_else(|| "just begun".to_owned(), |r| r.to_string());
                return Err(Fatal::Locked(name));
            }
            keeper.take_over(&folder)?;
        }
        Ok(keeper)
    }

    /// Makes a keeper for a destination that does not exist.
    pub(crate) fn without(root: Arc<Dir>) -> Result<Self, Fatal> {
        Self::new(root, &RunIdentity::default())
    }

    fn new(root: Arc<Dir>, identity: &RunIdentity) -> Result<Self, Fatal> {
        let mounted = match root.stat_self() {
            Ok(meta) => mounted(meta.dev),
            Err(errno) => return Err(Fatal::Destination(FsError::new("read", b"", errno))),
        };
        let began = clock::now();
        let started_seconds = began_seconds(began, began);
        Ok(Self {
            root,
            began,
            started_seconds: AtomicI64::new(started_seconds),
            record: Record {
                version: 1,
                run_id: identity.run_id.clone(),
                boot_id: boot_id(),
                mounted,
                started_seconds,
                source: identity.source.clone(),
                job_uid: identity.job_uid.clone(),
                attempt: identity.attempt,
                previous: Vec::new(),
            },
            previous: Vec::new(),
            crashed: None,
            written: AtomicBool::new(false),
            looked: AtomicU64::new(0),
            held: Mutex::default(),
        })
    }

    /// Tells the earlier attempt that has the lock to stop, and waits until it has.
    fn displace(
        &mut self,
        folder: &Folder,
        until: Instant,
        events: &dyn Events,
        cancel: &Cancel,
    ) -> Result<OwnedFd, Fatal> {
        let locked = |record: Option<Record>| {
            Fatal::Locked(record.map_or_else(|| "just begun".to_owned(), |r| r.to_string()))
        };
        if self.record.job_uid.is_none() {
            return Err(locked(folder.read()));
        }
        let waiting = folder.wait_for_lock()?;
        loop {
            match folder.read() {
                Some(record) if record.run_id == self.record.run_id => {}
                Some(record) => {
                    self.check_attempt(&record)?;
                    if record.job_uid != self.record.job_uid
                        || record.attempt == self.record.attempt
                    {
                        return Err(locked(Some(record)));
                    }
                    self.inherit(record);
                    events.event(&Event::Note {
                        path: &[],
                        kind: "waiting",
                        message: "an earlier attempt of this job is still writing to the \
                                  destination; it was told to stop"
                            .to_owned(),
                    });
                    self.write(folder)?;
                }
                // It has just begun, or ended.
                None => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if let Some(lock_file) = waiting.next(WAITING_LOOK.min(left)) {
                return lock_file;
            }
            if left.is_zero() || cancel.is_cancelled() {
                let holder = match self.record.previous.last() {
                    Some(earlier) => format!(
                        "run {}, an earlier attempt of this job that does not end",
                        earlier.run_id
                    ),
                    None => "just begun".to_owned(),
                };
                return Err(Fatal::Locked(holder));
            }
        }
    }

    /// Takes over the folder of a run that has ended.
    fn adopt(&mut self, folder: Folder, lock_file: OwnedFd) -> Result<(), Fatal> {
        self.take_over(&folder)?;
        *lock(&self.held) = Some(Held {
            folder,
            _lock: lock_file,
        });
        Ok(())
    }

    /// Learns what a run that has ended left.
    fn take_over(&mut self, folder: &Folder) -> Result<(), Fatal> {
        match folder.read() {
            // Put there while we waited for the lock.
            Some(record) if record.run_id == self.record.run_id => {}
            Some(record) => {
                self.check_attempt(&record)?;
                self.inherit(record);
            }
            // Made, but the state never reached the disk: trust nothing since the folder was made.
            None => self.record.previous.push(Previous {
                run_id: String::new(),
                boot_id: String::new(),
                mounted: String::new(),
                started_seconds: folder.made_seconds(),
            }),
        }
        self.previous.clone_from(&self.record.previous);
        self.crashed = self
            .previous
            .iter()
            .filter(|previous| {
                (&previous.boot_id, &previous.mounted)
                    != (&self.record.boot_id, &self.record.mounted)
            })
            .map(|previous| previous.started_seconds)
            .min()
            .map(|seconds| Crashed {
                since: Time {
                    seconds,
                    nanoseconds: 0,
                },
            });
        Ok(())
    }

    /// An attempt that is older than the one that has the destination must not write.
    fn check_attempt(&self, record: &Record) -> Result<(), Fatal> {
        let newer = record.attempt > self.record.attempt;
        if newer && record.job_uid.is_some() && record.job_uid == self.record.job_uid {
            return Err(Fatal::NewerAttempt(record.attempt));
        }
        Ok(())
    }

    /// What that run and those before it left is ours now.
    fn inherit(&mut self, record: Record) {
        let mut previous = record.previous;
        previous.push(Previous {
            run_id: record.run_id,
            boot_id: record.boot_id,
            mounted: record.mounted,
            started_seconds: record.started_seconds,
        });
        // Names are made of them, and anybody may have written what lies in a destination. When such a run began still counts.
        for run in &mut previous {
            if !is_run_id(run.run_id.as_bytes()) {
                run.run_id.clear();
            }
        }
        let excess = previous.len().saturating_sub(PREVIOUS_MAX);
        previous.drain(..excess);
        self.record.previous = previous;
    }

    /// Makes the folder, the lock and the state, the first time it is called; after that checks now and
    /// then that the state is still there. Call it before every write.
    pub(crate) fn before_write(&self) -> Result<(), Fatal> {
        if self.written.load(Ordering::Acquire) {
            return self.still_ours(LOOK_EVERY);
        }
        let mut held = lock(&self.held);
        if self.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let current = match held.take() {
            Some(held) => held,
            None => self.make()?,
        };
        // Kept before it is written to: the lock must not be lost with an error.
        let folder = &held.insert(current).folder;
        // A newer attempt may have come since we looked.
        if let Some(record) = folder.read() {
            self.check_attempt(&record)?;
        }
        // Not afterwards: the process may be stopped in between, and the state replaced meanwhile.
        let now = millis(clock::steady());
        // What the run writes may be stamped by a server, with a clock of its own.
        (self.started_seconds).fetch_min(folder.made_seconds(), Ordering::Relaxed);
        self.write(folder)?;
        self.looked.store(now, Ordering::Relaxed);
        self.written.store(true, Ordering::Release);
        Ok(())
    }

    fn write(&self, folder: &Folder) -> Result<(), Fatal> {
        folder.write(&Record {
            started_seconds: self.started_seconds.load(Ordering::Relaxed),
            ..self.record.clone()
        })
    }

    /// Makes the folder and takes its lock.
    fn make(&self) -> Result<Held, Fatal> {
        let moment = || Fatal::Locked("it began at the same moment".to_owned());
        Folder::make(&self.root)?;
        let folder = Folder::find(&self.root)?.ok_or_else(moment)?;
        let lock_file = folder.lock()?.ok_or_else(moment)?;
        // The folder may have been removed by a run that ended between our mkdir and the lock.
        if !folder.is_in(&self.root) {
            return Err(moment());
        }
        if let Some(record) = folder.read() {
            self.check_attempt(&record)?;
            return Err(moment());
        }
        Ok(Held {
            folder,
            _lock: lock_file,
        })
    }

    /// Fails if another run has put its state in the place of ours. Looks only if the last look is older
    /// than `age`, by a clock that goes on while a process or the machine is stopped.
    pub(crate) fn still_ours(&self, age: Duration) -> Result<(), Fatal> {
        let since = millis(clock::steady()).saturating_sub(self.looked.load(Ordering::Relaxed));
        if !self.has_written() || u128::from(since) < age.as_millis() {
            return Ok(());
        }
        self.look_again(clock::now())
    }

    fn look_again(&self, now: Moment) -> Result<(), Fatal> {
        let held = lock(&self.held);
        // Removed at the end of the run.
        let Some(held) = held.as_ref() else {
            return Ok(());
        };
        match held.folder.look() {
            Ok(Some(record)) if record.run_id == self.record.run_id => {
                self.looked.store(millis(now.steady), Ordering::Relaxed);
                let began = began_seconds(self.began, now);
                if began < (self.started_seconds).fetch_min(began, Ordering::Relaxed) {
                    // The clock was set back, and with it the times of what is written from now on.
                    self.write(&held.folder)?;
                }
                Ok(())
            }
            Ok(Some(record)) => {
                self.check_attempt(&record)?;
                Err(Fatal::Replaced)
            }
            Ok(None) => Err(Fatal::Replaced),
            // Nothing can be said now; the next write looks again.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR) => Ok(()),
            Err(errno) => Err(Fatal::Destination(FsError::new("read", STATE_DIR, errno))),
        }
    }

    /// Returns true if the run has written anything.
    pub(crate) fn has_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// Returns true if the name is a temporary name of this run or of one that was cut off.
    pub(crate) fn is_ours(&self, name: &[u8]) -> bool {
        run_id_of(name) == Some(self.record.run_id.as_bytes()) || self.is_left(name)
    }

    /// Returns true if the name is a temporary name of a run that was cut off.
    pub(crate) fn is_left(&self, name: &[u8]) -> bool {
        run_id_of(name).is_some_and(|id| self.previous.iter().any(|p| p.run_id.as_bytes() == id))
    }

    /// Ids of runs that were cut off, the latest last.
    pub(crate) fn previous_runs(&self) -> impl Iterator<Item = &str> {
        self.previous
            .iter()
            .map(|previous| &*previous.run_id)
            .filter(|id| !id.is_empty())
    }

    /// A crash of the machine, or of the destination's file system, after which sizes and times prove nothing.
    pub(crate) fn crashed(&self) -> Option<Crashed> {
        self.crashed
    }

    /// Removes the folder. Also when this run wrote nothing, if an earlier one had left it.
    pub(crate) fn remove(&self) -> Result<bool, Fatal> {
        self.still_ours(Duration::ZERO)?;
        let Some(held) = lock(&self.held).take() else {
            return Ok(false);
        };
        held.folder.empty()?;
        let failed = |errno| Fatal::Destination(FsError::new("remove", STATE_DIR, errno));
        match self.root.rmdir(STATE_DIR) {
            Ok(()) => return Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        // NFS keeps a removed file under another name for as long as it is open.
        drop(held);
        match self.root.rmdir(STATE_DIR) {
            // Not empty: the next run has it already.
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(true),
            Err(errno) => Err(failed(errno)),
        }
    }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
