//! What every thread of a run is doing, where another thread can see it: which call it is in and on what,
//! what it waits for, or that it is at work.
//!
//! Invariants: telling costs a few relaxed stores to memory of the thread's own, no lock, no allocation
//! and no system call; what is read of a thread is whole, or known not to be. Non-goals: judging what is seen
//! (that is [`crate::plan::stall`]), measuring time.

mod slot;

use std::cell::RefCell;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::entry::Escaped;
use crate::tree::node::lock;
pub use slot::{Doing, Seen};
use slot::{Slot, State};

/// A system call that may take long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are named as in section 2 of the manual")]
pub enum Call {
    Open,
    Stat,
    Readlink,
    Getdents,
    Read,
    Write,
    CopyFileRange,
    Clone,
    Seek,
    Truncate,
    Mkdir,
    Symlink,
    Mknod,
    Link,
    Rename,
    Unlink,
    Rmdir,
    Chown,
    Chmod,
    Utimens,
    Getxattr,
    Setxattr,
    Sync,
    Sendfile,
    Send,
    Splice,
}

impl Call {
    const ALL: [Self; 26] = [
        Self::Open,
        Self::Stat,
        Self::Readlink,
        Self::Getdents,
        Self::Read,
        Self::Write,
        Self::CopyFileRange,
        Self::Clone,
        Self::Seek,
        Self::Truncate,
        Self::Mkdir,
        Self::Symlink,
        Self::Mknod,
        Self::Link,
        Self::Rename,
        Self::Unlink,
        Self::Rmdir,
        Self::Chown,
        Self::Chmod,
        Self::Utimens,
        Self::Getxattr,
        Self::Setxattr,
        Self::Sync,
        Self::Sendfile,
        Self::Send,
        Self::Splice,
    ];

    /// Name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Stat => "stat",
            Self::Readlink => "readlink",
            Self::Getdents => "getdents",
            Self::Read => "read",
            Self::Write => "write",
            Self::CopyFileRange => "copy_file_range",
            Self::Clone => "clone",
            Self::Seek => "seek",
            Self::Truncate => "truncate",
            Self::Mkdir => "mkdir",
            Self::Symlink => "symlink",
            Self::Mknod => "mknod",
            Self::Link => "link",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::Rmdir => "rmdir",
            Self::Chown => "chown",
            Self::Chmod => "chmod",
            Self::Utimens => "utimens",
            Self::Getxattr => "getxattr",
            Self::Setxattr => "setxattr",
            Self::Sync => "sync",
            Self::Sendfile => "sendfile",
            Self::Send => "send",
            Self::Splice => "splice",
        }
    }
}

/// What an idle thread waits for: an internal queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Wait {
    /// Something to do: a batch, or a turn at planning.
    Work,
    /// The next part of the source's listing.
    Listing,
    /// Room among the files that are under way.
    Window,
    /// The other side to take a message.
    Message,
    /// The names of a directory, listed once more.
    Relist,
    /// Content that arrives.
    Arrival,
}

impl Wait {
    const ALL: [Self; 6] = [
        Self::Work,
        Self::Listing,
        Self::Window,
        Self::Message,
        Self::Relist,
        Self::Arrival,
    ];
}

/// The threads of one run, or of one side of a session.
#[derive(Debug, Default)]
pub struct Roster {
    slots: Mutex<Vec<Arc<Slot>>>,
    next: AtomicU64,
}

thread_local! {
    static MINE: RefCell<Option<Mine>> = const { RefCell::new(None) };
}

struct Mine {
    roster: Arc<Roster>,
    slot: Arc<Slot>,
}

impl Drop for Mine {
    fn drop(&mut self) {
        lock(&self.roster.slots).retain(|slot| !Arc::ptr_eq(slot, &self.slot));
    }
}

impl Roster {
    /// Makes an empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts the calling thread on the roster, as at work, until what is returned is dropped. A thread is on one
    /// roster at a time.
    #[must_use]
    pub fn enlist(self: &Arc<Self>) -> Enlisted {
        self.enlist_as(State::Busy);
        Enlisted(())
    }

    /// Does the work of a thread that belongs to somebody else, such as one that reads a socket: it is on the
    /// roster from now on, and counts as waiting for what arrives before and after.
    pub fn visit<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let here = MINE.with_borrow(|mine| {
            mine.as_ref()
                .is_some_and(|mine| Arc::ptr_eq(&mine.roster, self))
        });
        if !here {
            self.enlist_as(State::Idle(Wait::Arrival));
        }
        let outside = set(State::Busy);
        let done = work();
        if let Some(outside) = outside {
            set(outside);
        }
        done
    }

    fn enlist_as(self: &Arc<Self>, state: State) {
        let slot = Arc::new(Slot::new(self.next.fetch_add(1, Relaxed), state));
        lock(&self.slots).push(Arc::clone(&slot));
        let roster = Arc::clone(self);
        drop(MINE.replace(Some(Mine { roster, slot })));
    }

    /// Returns what each thread does now.
    pub fn look(&self) -> Vec<Seen> {
        lock(&self.slots).iter().map(|slot| slot.look()).collect()
    }

    /// Returns what a call is about, unless it has ended meanwhile: the path of the object, and where it is asked
    /// for whether a socket that the call writes to has room.
    pub fn object(&self, seen: &Seen) -> Option<Object> {
        let slot = lock(&self.slots)
            .iter()
            .find(|slot| slot.id() == seen.thread)
            .map(Arc::clone)?;
        let object = slot.object()?;
        (slot.look().stamp == seen.stamp).then_some(object)
    }

    /// Says which call a thread is in and what about, for people; `None` if it is in none, or that has ended.
    pub fn in_call(&self, seen: &Seen, roots: &[Vec<u8>]) -> Option<String> {
        let Doing::Call(call) = seen.doing else {
            return None;
        };
        let object = self.object(seen)?;
        let call = match object.inside(roots) {
            // Another host may be told: it knows the root as what it asked for.
            None => format!("the call {}", call.name()),
            Some(b"") => format!("the call {} on the root", call.name()),
            Some(path) => format!("the call {} on {}", call.name(), Escaped(path)),
        };
        Some(match object.waits_for_socket {
            true => format!("the other side to take what is sent ({call})"),
            false => call,
        })
    }
}

pub use slot::Object;

/// Returns the path of a root, for [`Object::below`].
pub fn root_path(root: BorrowedFd<'_>) -> Option<Vec<u8>> {
    crate::fs::path_of_handle(root.as_raw_fd())
}

/// A thread on a roster.
#[derive(Debug)]
pub struct Enlisted(());

impl Drop for Enlisted {
    fn drop(&mut self) {
        drop(MINE.take());
    }
}

/// Makes a system call on an open file or directory.
pub fn call<T>(call: Call, fd: BorrowedFd<'_>, made: impl FnOnce() -> T) -> T {
    call_at(call, fd, b"", made)
}

/// Makes a system call on a name in a directory.
pub fn call_at<T>(call: Call, dir: BorrowedFd<'_>, name: &[u8], made: impl FnOnce() -> T) -> T {
    begin(call, dir.as_raw_fd(), -1, name);
    let returned = made();
    end();
    returned
}

/// Makes a system call that moves bytes of a file to a socket.
pub fn call_to_socket<T>(
    call: Call,
    file: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    made: impl FnOnce() -> T,
) -> T {
    begin(call, file.as_raw_fd(), socket.as_raw_fd(), b"");
    let returned = made();
    end();
    returned
}

fn begin(call: Call, fd: RawFd, socket: RawFd, name: &[u8]) {
    MINE.with_borrow(|mine| {
        if let Some(mine) = mine {
            mine.slot.begin(call, fd, socket, name);
        }
    });
}

fn end() {
    MINE.with_borrow(|mine| {
        if let Some(mine) = mine {
            mine.slot.end();
        }
    });
}

/// From now on the thread waits for an internal queue and counts as idle, until it makes a call or [`works`]. One that
/// polls stays idle between two looks at its queue.
pub fn waits(wait: Wait) {
    set(State::Idle(wait));
}

/// From now on the thread works: it has got something to do.
pub fn works() {
    MINE.with_borrow(|mine| {
        if let Some(mine) = mine {
            mine.slot.set(State::Busy);
            mine.slot.achieved();
        }
    });
}

/// Waits for an internal queue: the thread counts as idle meanwhile.
pub fn idle<T>(wait: Wait, waiting: impl FnOnce() -> T) -> T {
    let before = set(State::Idle(wait));
    let done = waiting();
    if let Some(before) = before {
        set(before);
    }
    done
}

/// Returns the state before; `None` for a thread that is on no roster.
fn set(state: State) -> Option<State> {
    MINE.with_borrow(|mine| mine.as_ref().map(|mine| mine.slot.set(state)))
}

#[cfg(test)]
mod tests;
