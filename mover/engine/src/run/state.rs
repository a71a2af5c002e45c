//! `.blit/` at the top of a destination: who writes there, and what an earlier run left.
//!
//! It holds `lock` (an flock for as long as a run lives) and `state` (a line of JSON). It is made with the
//! first write of a run, so that a run that has nothing to do leaves no trace, and removed at the end. A
//! state whose lock is free was left by a run that was killed: temporary names with its id are ours.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::RunIdentity;
use super::summary::Fatal;
use crate::entry::Time;
use crate::fs::copy::write_all_at;
use crate::fs::{Context, Dir, FsError};
use crate::plan::compare::Crashed;
use crate::plan::names::{RUN_ID_LENGTH, run_id_of};
use crate::tree::node::lock;

/// Name of the folder.
pub const STATE_DIR: &[u8] = b".blit";
const LOCK: &[u8] = b"lock";
const STATE: &[u8] = b"state";
const NEW_STATE: &[u8] = b"state.new";
/// A state is some hundred bytes for each interrupted run.
const STATE_MAX: usize = 64 * 1024;
/// Interrupted runs whose leftovers are remembered.
const PREVIOUS_MAX: usize = 64;

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
    previous: Vec<Previous>,
    crashed: Option<Crashed>,
    written: AtomicBool,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    dir: Dir,
    _lock: OwnedFd,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    version: u32,
    run_id: String,
    boot_id: String,
    started_seconds: i64,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job_uid: Option<String>,
    #[serde(default)]
    attempt: u32,
    #[serde(default)]
    previous: Vec<Previous>,
}

/// A run that was cut off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Previous {
    run_id: String,
    boot_id: String,
    started_seconds: i64,
}

impl StateKeeper {
    /// Looks at what lies in the destination, and takes the lock if there is one. Writes nothing.
    pub(crate) fn open(root: Arc<Dir>, identity: &RunIdentity) -> Result<Self, Fatal> {
        let mut keeper = Self {
            root,
            record: Record {
                version: 1,
                run_id: identity.run_id.clone(),
                boot_id: boot_id(),
                started_seconds: now_seconds(),
                source: identity.source.clone(),
                job_uid: identity.job_uid.clone(),
                attempt: identity.attempt,
                previous: Vec::new(),
            },
            previous: Vec::new(),
            crashed: None,
            written: AtomicBool::new(false),
            held: Mutex::default(),
        };
        match keeper.root.open_dir(STATE_DIR) {
            Ok(dir) => keeper.adopt(dir)?,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(Fatal::ForeignState),
            Err(errno) => return Err(Fatal::Destination(FsError::new("open", STATE_DIR, errno))),
        }
        Ok(keeper)
    }

    /// Takes over the folder of a run that has ended.
    fn adopt(&mut self, dir: Dir) -> Result<(), Fatal> {
        let mut foreign = false;
        dir.reopen()
            .and_then(|dir| {
                dir.read_names(|name| {
                    foreign |= ![LOCK, STATE, NEW_STATE].contains(&name);
                    true
                })
            })
            .context("read", || STATE_DIR.to_vec())
            .map_err(Fatal::Destination)?;
        if foreign {
            return Err(Fatal::ForeignState);
        }
        let lock_file = take_lock(&dir)?;
        let text = read_state(&dir);
        match serde_json::from_slice::<Record>(&text) {
            Ok(record) => {
                let newer = record.attempt > self.record.attempt;
                if newer && record.job_uid.is_some() && record.job_uid == self.record.job_uid {
                    return Err(Fatal::NewerAttempt(record.attempt));
                }
                self.previous = record.previous;
                self.previous.push(Previous {
                    run_id: record.run_id,
                    boot_id: record.boot_id,
                    started_seconds: record.started_seconds,
                });
            }
            // Made, but the state never reached the disk: trust nothing since the folder was made.
            Err(_) => {
                let made = dir.stat_self().map_or(0, |meta| meta.mtime.seconds);
                self.previous.push(Previous {
                    run_id: String::new(),
                    boot_id: String::new(),
                    started_seconds: made,
                });
            }
        }
        let excess = self.previous.len().saturating_sub(PREVIOUS_MAX);
        self.previous.drain(..excess);
        self.crashed = self
            .previous
            .iter()
            .filter(|previous| previous.boot_id != self.record.boot_id)
            .map(|previous| previous.started_seconds)
            .min()
            .map(|seconds| Crashed {
                since: Time {
                    seconds,
                    nanoseconds: 0,
                },
            });
        self.record.previous.clone_from(&self.previous);
        *lock(&self.held) = Some(Held {
            dir,
            _lock: lock_file,
        });
        Ok(())
    }

    /// Makes the folder, the lock and the state, the first time it is called. Call it before every write.
    pub(crate) fn before_write(&self) -> Result<(), Fatal> {
        if self.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut held = lock(&self.held);
        if self.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let failed = |errno| Fatal::Destination(FsError::new("write", STATE_DIR, errno));
        let current = match held.take() {
            Some(held) => held,
            None => {
                match self.root.mkdir(STATE_DIR, 0o700) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                let dir = self.root.open_dir(STATE_DIR).map_err(failed)?;
                let lock_file = take_lock(&dir)?;
                // The folder may have been removed by a run that ended between our mkdir and the lock.
                match self.root.stat(STATE_DIR) {
                    Ok(meta) if Some(meta.inode()) == dir.stat_self().ok().map(|m| m.inode()) => {}
                    _ => return Err(Fatal::Locked("it began at the same moment".to_owned())),
                }
                Held {
                    dir,
                    _lock: lock_file,
                }
            }
        };
        let text = serde_json::to_vec(&self.record).unwrap_or_default();
        // Kept before it is written to: the lock must not be lost with an error.
        write_state(&held.insert(current).dir, &text).map_err(failed)?;
        self.written.store(true, Ordering::Release);
        Ok(())
    }

    /// Returns true if the run has written anything.
    pub(crate) fn has_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// Returns true if the name is a temporary name of this run or of one that was cut off.
    pub(crate) fn is_ours(&self, name: &[u8]) -> bool {
        run_id_of(name).is_some_and(|id| {
            id == self.record.run_id.as_bytes()
                || self.previous.iter().any(|p| p.run_id.as_bytes() == id)
        })
    }

    /// Ids of runs that were cut off, the latest last.
    pub(crate) fn previous_runs(&self) -> impl Iterator<Item = &str> {
        self.previous
            .iter()
            .map(|previous| &*previous.run_id)
            .filter(|id| !id.is_empty())
    }

    /// A crash of the machine after which sizes and times prove nothing.
    pub(crate) fn crashed(&self) -> Option<Crashed> {
        self.crashed
    }

    /// Removes the folder. Also when this run wrote nothing, if an earlier one had left it.
    pub(crate) fn remove(&self) -> Result<bool, FsError> {
        let Some(held) = lock(&self.held).take() else {
            return Ok(false);
        };
        for name in [STATE, NEW_STATE, LOCK] {
            match held.dir.unlink(name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(FsError::new("remove", STATE_DIR, errno)),
            }
        }
        self.root
            .rmdir(STATE_DIR)
            .context("remove", || STATE_DIR.to_vec())?;
        Ok(true)
    }
}

fn take_lock(dir: &Dir) -> Result<OwnedFd, Fatal> {
    let failed = |errno| Fatal::Destination(FsError::new("lock", STATE_DIR, errno));
    let file = match dir.create_file(LOCK, 0o600) {
        Err(Errno::EXIST) => dir.open_file(LOCK),
        other => other,
    }
    .map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => {
            let holder = serde_json::from_slice::<Record>(&read_state(dir)).map_or_else(
                |_| "just begun".to_owned(),
                |r| format!("run {} from {}", r.run_id, r.source),
            );
            Err(Fatal::Locked(holder))
        }
        Err(errno) => Err(failed(errno)),
    }
}

fn read_state(dir: &Dir) -> Vec<u8> {
    let Ok(file) = dir.open_file(STATE) else {
        return Vec::new();
    };
    let mut text = vec![0; STATE_MAX];
    let length = rustix::io::pread(&file, &mut text[..], 0).unwrap_or(0);
    text.truncate(length);
    text
}

fn write_state(dir: &Dir, text: &[u8]) -> Result<(), Errno> {
    match dir.unlink(NEW_STATE) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let file = dir.create_file(NEW_STATE, 0o600)?;
    write_all_at(file.as_fd(), text, 0)?;
    dir.rename(NEW_STATE, STATE)
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
