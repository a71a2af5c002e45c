//! What one thread is doing, in memory that it writes and others read.
//!
//! One word holds the state and a count of all calls and achievements. What a call is about lies beside it and is
//! written before the call is announced, so whoever finds the same word before and after has read it whole.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, fence};

use super::{Call, Wait};

/// Words of a name: names have at most 255 bytes.
const NAME_WORDS: usize = 32;
/// Low bits of the word that hold the state.
const STATE_BITS: u32 = 8;
/// First state that is a wait, and first that is a call.
const WAITS: u8 = 1;
const CALLS: u8 = 64;

/// State of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// At work, in no call that is told.
    Busy,
    /// Waiting for an internal queue.
    Idle(Wait),
}

/// What a thread was seen doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// It is at work.
    Busy,
    /// It waits for an internal queue.
    Idle(Wait),
    /// It is in a system call.
    Call(Call),
}

/// One thread at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Number of the thread on its roster.
    pub thread: u64,
    /// What it does.
    pub doing: Doing,
    /// Calls and other achievements so far; the same number at two moments means that nothing was done between.
    pub stamp: u64,
}

/// What a call is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// The path as the kernel knows it, from the root of this process.
    pub path: Vec<u8>,
    /// The call writes to a socket that has no room: it is the network that takes long.
    pub waits_for_socket: bool,
}

impl Object {
    /// Returns the path below the first of `roots` that it lies in; as it is if it lies in none.
    pub fn below(&self, roots: &[Vec<u8>]) -> &[u8] {
        self.inside(roots).unwrap_or(&self.path)
    }

    /// Returns the path below the first of `roots` that it lies in.
    pub fn inside(&self, roots: &[Vec<u8>]) -> Option<&[u8]> {
        roots.iter().find_map(|root| relative(root, &self.path))
    }
}

/// Returns the path below a root; `None` if it does not lie there.
pub(super) fn relative<'a>(root: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let below = path.strip_prefix(root)?;
    if below.is_empty() || root.ends_with(b"/") {
        return Some(below);
    }
    below.strip_prefix(b"/")
}

#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    word: AtomicU64,
    fd: AtomicI32,
    socket: AtomicI32,
    length: AtomicU8,
    name: [AtomicU64; NAME_WORDS],
}

impl Slot {
    pub(super) fn new(id: u64, state: State) -> Self {
        Self {
            id,
            word: AtomicU64::new(u64::from(code(state))),
            fd: AtomicI32::new(-1),
            socket: AtomicI32::new(-1),
            length: AtomicU8::new(0),
            name: [const { AtomicU64::new(0) }; NAME_WORDS],
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Only the thread itself writes, so a load and a store are enough.
    fn write(&self, state: u8, achievements: u64) {
        let count = (self.word.load(Relaxed) >> STATE_BITS).wrapping_add(achievements);
        self.word
            .store((count << STATE_BITS) | u64::from(state), Release);
    }

    pub(super) fn begin(&self, call: Call, fd: RawFd, socket: RawFd, name: &[u8]) {
        let name = &name[..name.len().min(NAME_WORDS * 8 - 1)];
        self.fd.store(fd, Relaxed);
        self.socket.store(socket, Relaxed);
        for (word, bytes) in self.name.iter().zip(name.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        #[expect(clippy::cast_possible_truncation, reason = "cut to 255 above")]
        self.length.store(name.len() as u8, Relaxed);
        self.write(CALLS + call as u8, 1);
    }

    /// A call is over.
    pub(super) fn end(&self) {
        self.write(code(State::Busy), 0);
        // The next call must not be written before this is seen.
        fence(Release);
    }

    pub(super) fn achieved(&self) {
        let state = self.word.load(Relaxed) as u8;
        self.write(state, 1);
    }

    /// Returns the state before.
    pub(super) fn set(&self, state: State) -> State {
        let before = match decode(self.word.load(Relaxed) as u8) {
            Doing::Idle(wait) => State::Idle(wait),
            Doing::Busy | Doing::Call(_) => State::Busy,
        };
        self.write(code(state), 0);
        before
    }

    pub(super) fn look(&self) -> Seen {
        let word = self.word.load(Acquire);
        Seen {
            thread: self.id,
            doing: decode(word as u8),
            stamp: word >> STATE_BITS,
        }
    }

    /// What the call is about that the thread is in now.
    pub(super) fn object(&self) -> Option<Object> {
        let before = self.word.load(Acquire);
        if !matches!(decode(before as u8), Doing::Call(_)) {
            return None;
        }
        let (fd, socket) = (self.fd.load(Relaxed), self.socket.load(Relaxed));
        let mut name = Vec::with_capacity(NAME_WORDS * 8);
        for word in &self.name {
            name.extend_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        name.truncate(usize::from(self.length.load(Relaxed)));
        // The handle is that of this call if the call goes on afterwards.
        let path = crate::fs::path_of_handle(fd);
        let waits_for_socket = socket >= 0 && !crate::fs::has_room(socket);
        fence(Acquire);
        if self.word.load(Relaxed) != before {
            return None;
        }
        let mut path = path.unwrap_or_default();
        if !name.is_empty() {
            path = crate::tree::node::join(&path, &name);
        }
        Some(Object {
            path,
            waits_for_socket,
        })
    }
}

fn code(state: State) -> u8 {
    match state {
        State::Busy => 0,
        State::Idle(wait) => WAITS + wait as u8,
    }
}

fn decode(state: u8) -> Doing {
    if let Some(call) = state.checked_sub(CALLS) {
        return Call::ALL
            .get(usize::from(call))
            .map_or(Doing::Busy, |call| Doing::Call(*call));
    }
    match state.checked_sub(WAITS) {
        None => Doing::Busy,
        Some(wait) => Wait::ALL
            .get(usize::from(wait))
            .map_or(Doing::Busy, |wait| Doing::Idle(*wait)),
    }
}
