//! The folder itself: its lock, and the record in it. What they mean is decided by the parent.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::super::summary::Fatal;
use super::STATE_DIR;
use crate::entry::Escaped;
use crate::fs::copy::write_all_at;
use crate::fs::{Dir, FsError};

const LOCK: &[u8] = b"lock";
const STATE: &[u8] = b"state";
const NEW_STATE: &[u8] = b"state.new";
/// A state is some hundred bytes for each interrupted run.
const STATE_MAX: usize = 64 * 1024;

/// What `state` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) run_id: String,
    pub(super) boot_id: String,
    /// Mounting of the destination's file system, see [`crate::fs::mounted`].
    #[serde(default)]
    pub(super) mounted: String,
    pub(super) started_seconds: i64,
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job_uid: Option<String>,
    #[serde(default)]
    pub(super) attempt: u32,
    #[serde(default)]
    pub(super) previous: Vec<Previous>,
}

/// A run that was cut off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Previous {
    pub(super) run_id: String,
    pub(super) boot_id: String,
    #[serde(default)]
    pub(super) mounted: String,
    pub(super) started_seconds: i64,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [run_id, source] = [&self.run_id, &self.source].map(|text| Escaped(text.as_bytes()));
        write!(f, "run {run_id} from {source}")
    }
}

/// An open state folder.
#[derive(Debug)]
pub(super) struct Folder(Dir);

impl Folder {
    /// Opens the folder of a destination, if it has one; something else of this name is an error.
    pub(super) fn find(root: &Dir) -> Result<Option<Self>, Fatal> {
        let dir = match root.open_dir(STATE_DIR) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(Fatal::ForeignState),
            Err(errno) => return Err(failed("open")(errno)),
        };
        let mut foreign = false;
        dir.reopen()
            .and_then(|dir| {
                dir.read_names(|name| {
                    // What NFS makes of a file that is removed while it is open.
                    let removed = name.starts_with(b".nfs");
                    foreign |= !removed && ![LOCK, STATE, NEW_STATE].contains(&name);
                    true
                })
            })
            .map_err(failed("read"))?;
        if foreign {
            return Err(Fatal::ForeignState);
        }
        Ok(Some(Self(dir)))
    }

    /// Makes the folder unless it is there.
    pub(super) fn make(root: &Dir) -> Result<(), Fatal> {
        match root.mkdir(STATE_DIR, 0o700) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(failed("write")(errno)),
        }
    }

    /// Returns true if this folder still has its name.
    pub(super) fn is_in(&self, root: &Dir) -> bool {
        match (root.stat(STATE_DIR), self.0.stat_self()) {
            (Ok(named), Ok(own)) => named.inode() == own.inode(),
            _ => false,
        }
    }

    /// Takes the lock; `None` if somebody has it.
    pub(super) fn lock(&self) -> Result<Option<OwnedFd>, Fatal> {
        let file = self.lock_file()?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed("lock")(errno)),
        }
    }

    /// Returns true if somebody has the lock. Leaves nothing behind, not even the lock's file.
    pub(super) fn is_locked(&self) -> Result<bool, Fatal> {
        let file = match self.0.open_file(LOCK) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(failed("lock")(errno)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(failed("lock")(errno)),
        }
    }

    /// Waits for the lock on a thread of its own. Once nobody waits any more, a lock that comes late is
    /// let go at once.
    pub(super) fn wait_for_lock(&self) -> Result<Waiting, Fatal> {
        let file = self.lock_file()?;
        let (sender, receiver) = sync_channel(1);
        std::thread::Builder::new()
            .name("lock".to_owned())
            .spawn(move || {
                let locked = loop {
                    match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                        Err(Errno::INTR) => {}
                        other => break other,
                    }
                };
                let _ = sender.send(locked.map(|()| file).map_err(failed("lock")));
            })
            .map_err(|error| {
                failed("lock")(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
            })?;
        Ok(Waiting(receiver))
    }

    fn lock_file(&self) -> Result<OwnedFd, Fatal> {
        match self.0.create_file(LOCK, 0o600) {
            Err(Errno::EXIST) => self.0.open_file_to_lock(LOCK),
            other => other,
        }
        .map_err(failed("lock"))
    }

    /// Reads the state; `None` if there is none that makes sense.
    pub(super) fn read(&self) -> Option<Record> {
        self.look().ok().flatten()
    }

    /// Reads the state, with the reason if it cannot be read. Opening it is what makes a network file system
    /// ask its server.
    pub(super) fn look(&self) -> Result<Option<Record>, Errno> {
        let file = match self.0.open_file(STATE) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::STALE) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let mut text = vec![0; STATE_MAX];
        let length = match rustix::io::pread(&file, &mut text[..], 0) {
            Ok(length) => length,
            Err(Errno::STALE) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        Ok(serde_json::from_slice(&text[..length]).ok())
    }

    /// Puts a record in the place of what is there, at once.
    pub(super) fn write(&self, record: &Record) -> Result<(), Fatal> {
        let text = serde_json::to_vec(record).unwrap_or_default();
        let write = || {
            match self.0.unlink(NEW_STATE) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            let file = self.0.create_file(NEW_STATE, 0o600)?;
            write_all_at(file.as_fd(), &text, 0)?;
            self.0.rename(NEW_STATE, STATE)
        };
        write().map_err(failed("write"))
    }

    /// Returns when the folder was made or last changed.
    pub(super) fn made_seconds(&self) -> i64 {
        self.0.stat_self().map_or(0, |meta| meta.mtime.seconds)
    }

    /// Removes what is in the folder.
    pub(super) fn empty(&self) -> Result<(), Fatal> {
        for name in [STATE, NEW_STATE, LOCK] {
            match self.0.unlink(name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed("remove")(errno)),
            }
        }
        Ok(())
    }
}

/// A lock that is waited for.
pub(super) struct Waiting(Receiver<Result<OwnedFd, Fatal>>);

impl Waiting {
    /// Waits so long; `None` if the lock is still somebody else's.
    pub(super) fn next(&self, wait: Duration) -> Option<Result<OwnedFd, Fatal>> {
        match self.0.recv_timeout(wait) {
            Ok(locked) => Some(locked),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(failed("lock")(Errno::CANCELED))),
        }
    }
}

fn failed(action: &'static str) -> impl Fn(Errno) -> Fatal {
    move |errno| Fatal::Destination(FsError::new(action, STATE_DIR, errno))
}
