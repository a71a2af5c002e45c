//! A file system that does what others only do when they are broken, old, far away or foreign: it answers with EIO,
//! late or not at all, cuts times, or takes names that differ in case for the same.
//!
//! It is a FUSE file system in memory, served by threads of the test. It needs `/dev/fuse` and root, no library
//! and no helper program. Fill it through its directory; then say what goes wrong, by the names of entries.
//!
//! Non-goals: speed, and what no test needs (locks, files without a name, more than one hard link limit).

mod server;
mod state;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fuser::{BackgroundSession, MountOption, Session, SessionACL};
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

use crate::area::require_root;
use crate::error::{Context, Error, Result};
use server::Server;
use state::State;

/// What such a file system is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// Nanoseconds to which it cuts times.
    pub time_granule: u32,
    /// Names that differ only in the case of their letters are one.
    pub folds_case: bool,
    /// Its directories have the flag that says so.
    pub tells_folding: bool,
    /// It tells `.` and `..` as the last ones of a directory; otherwise it tells neither.
    pub dots_last: bool,
    /// Calls that it answers at once.
    pub at_once: usize,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            time_granule: 1,
            folds_case: false,
            tells_folding: false,
            dots_last: false,
            at_once: 1,
        }
    }
}

/// A call that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Reading a file.
    Read,
    /// Reading a directory: its first half is told before it goes wrong.
    ReadDirectory,
    /// Looking for a name, or at what is open.
    Look,
    /// Writing to a file.
    Write,
    /// Giving another name, or taking one away from something else so.
    Rename,
    /// Giving one more name.
    Link,
    /// Taking away a name of what is no directory.
    Unlink,
    /// Making a directory.
    MakeDirectory,
    /// Opening a directory.
    OpenDirectory,
    /// Removing a directory.
    RemoveDirectory,
    /// Setting the mode.
    SetMode,
    /// Setting the time of the last change.
    SetTime,
}

/// A mounted file system. Dropping it unmounts it.
pub struct Faulty {
    root: PathBuf,
    state: Arc<Mutex<State>>,
    _session: BackgroundSession,
    _home: Option<TempDir>,
}

impl Faulty {
    /// Mounts an empty one.
    pub fn mount(nature: Nature) -> Result<Self> {
        let place = std::env::temp_dir();
        let home = TempDir::with_prefix_in("blit-test-", &place);
        let home = home.context("make a folder in", &place)?;
        let root = home.path().join("mount");
        std::fs::create_dir(&root).context("make", &root)?;
        Self::serve(root, Some(home), nature)
    }

    /// Mounts an empty one on a directory, for every user.
    pub fn mount_at(root: &Path, nature: Nature) -> Result<Self> {
        Self::serve(root.to_path_buf(), None, nature)
    }

    fn serve(root: PathBuf, home: Option<TempDir>, nature: Nature) -> Result<Self> {
        require_root()?;
        let device = Path::new("/dev/fuse");
        if !device.exists() {
            return Err(Error::Machine(
                "these tests serve a file system of their own and need /dev/fuse: load the kernel module fuse"
                    .into(),
            ));
        }
        let state = Arc::new(Mutex::new(State::new(nature)));
        let mut config = fuser::Config::default();
        config.acl = SessionACL::All;
        config.n_threads = Some(nature.at_once);
        config.mount_options = vec![
            MountOption::FSName("blit-test".into()),
            MountOption::DefaultPermissions,
            MountOption::Dev,
            MountOption::Suid,
        ];
        let server = Server::new(Arc::clone(&state));
        let session = Session::new(server, &root, &config)
            .and_then(Session::spawn)
            .context("mount a FUSE file system on", &root)?;
        Ok(Self {
            root,
            state,
            _session: session,
            _home: home,
        })
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the path of a name in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// From now on this call on every entry of this name is answered with EIO; with a `*` at its end, of every name that
    /// begins so.
    pub fn fail(&self, call: Call, name: &str) {
        self.state().fail(call, name);
    }

    /// From now on this call on every file whose content begins so is answered with EIO, whatever its name: who makes a
    /// file may give it its name last.
    pub fn fail_content(&self, call: Call, beginning: &str) {
        self.state().fail_content(call, beginning);
    }

    /// From now on this call on every entry of this name is not answered, until [`release`](Self::release).
    pub fn hang(&self, call: Call, name: &str) {
        self.state().hang(call, name);
    }

    /// From now on reading a file brings this many bytes a second.
    pub fn throttle(&self, rate: u32) {
        self.state().throttle(rate);
    }

    /// From now on each call takes so long, as over a network.
    pub fn delay(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// The first byte of each of the next so many writes of 4 KiB and more is stored altered.
    pub fn alter(&self, writes: u32) {
        self.state().altered = writes;
    }

    /// Returns how many calls wait for an answer.
    pub fn hanging(&self) -> usize {
        self.state().hanging()
    }

    /// Answers all calls that wait, and makes no more of them wait.
    pub fn release(&self) {
        self.state().release();
    }

    /// All calls go well again; those that wait are answered.
    pub fn heal(&self) {
        self.state().heal();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.heal();
        // A process that a failed test left behind may still use it: then it goes when that ends.
        let _ = umount2(&self.root, MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests;
