//! The wants that are under way, and how many more there may be.
//!
//! A want is under way from when it is sent until its file has ended here. The window bounds the bytes
//! and the files under way: enough to keep the path and the disks busy, and few enough that a slow
//! destination is not flooded. It also knows which ids may arrive at all.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex};

use blit_engine::run::{ReadStatus, SourceError, Tail, Want};
use blit_engine::watch::{Wait, idle};

use crate::sync::{lock, wait};
use crate::wire::Violation;

/// Bytes that may be under way: as much as a path of 10 Gbit/s and 50 ms holds.
pub(crate) const BYTES: u64 = 64 << 20;

/// Bytes under way below which a full window is filled again.
const LOW: u64 = BYTES / 4 * 3;

/// What each want counts at least, in bytes: a task that waits takes memory at the destination however
/// small its file is. So 16,384 small files are under way, enough for 100,000 a second over 150 ms.
const LEAST: u64 = 4096;

/// The window of one session.
#[derive(Debug, Default)]
pub(crate) struct Window {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: HashMap<u64, UnderWay>,
    /// Files that came in pieces and had changed, with the bytes that their end named: another end may be late.
    spoiled: HashMap<u64, u64>,
    bytes: u64,
    /// Threads that wait for room.
    waiting: u32,
    lost: Option<SourceError>,
}

#[derive(Debug)]
struct UnderWay {
    hash: bool,
    weight: u64,
    received: u64,
    /// The end of the file, where it came before the last of its pieces. Seldom there, and large: one for each of thousands of
    /// files would be most of what a destination holds.
    end: Option<Box<Tail>>,
}

const _: () = assert!(size_of::<UnderWay>() <= 32);

impl Window {
    /// Counts wants in; waits until at least one fits. Returns how many may be sent.
    pub(crate) fn admit(&self, wants: &[Want]) -> Result<usize, SourceError> {
        let mut state = lock(&self.state);
        if let Some(admitted) = state.admit(wants) {
            return admitted;
        }
        idle(Wait::Window, || {
            loop {
                state.waiting += 1;
                state = wait(&self.released, state);
                state.waiting -= 1;
                if let Some(admitted) = state.admit(wants) {
                    return admitted;
                }
            }
        })
    }

    /// Returns how many bytes of content were asked for and have not come. Looks at all that is under way.
    pub(crate) fn awaited(&self) -> u64 {
        let state = lock(&self.state);
        let files = state.under_way.values().filter(|file| !file.hash);
        let left = files.map(|file| file.weight.saturating_sub(file.received));
        left.fold(0, u64::saturating_add)
    }

    /// Checks that a file may arrive.
    pub(crate) fn expects(&self, id: u64) -> Result<(), Violation> {
        match lock(&self.state).under_way.get(&id) {
            Some(under_way) if under_way.hash => Err(Violation::new("a hash comes in pieces")),
            Some(_) => Ok(()),
            None => Err(not_wanted()),
        }
    }

    /// Counts a file out that came whole, or its hash. Returns true if it is a hash.
    pub(crate) fn whole(&self, id: u64) -> Result<bool, Violation> {
        let mut state = lock(&self.state);
        let under_way = state.under_way.get(&id).ok_or_else(not_wanted)?;
        if under_way.received > 0 || under_way.end.is_some() {
            return Err(Violation::new("a file comes whole and in pieces"));
        }
        let hash = under_way.hash;
        state.remove(id);
        self.wake(&state);
        Ok(hash)
    }

    /// Counts a piece that was dealt with. Returns the end of the file if it had come before and this was
    /// the last piece.
    pub(crate) fn piece(&self, id: u64, bytes: u64) -> Result<Option<Tail>, Violation> {
        let mut state = lock(&self.state);
        let under_way = state.under_way.get_mut(&id).ok_or_else(not_wanted)?;
        under_way.received = under_way.received.saturating_add(bytes);
        let ended = state.end(id)?;
        self.wake(&state);
        Ok(ended)
    }

    /// Takes the end of a file that came in pieces. Returns it if no piece is missing.
    ///
    /// An end can come twice, where the file changed before a piece that was lost could be sent again. The one that
    /// says so counts, whichever comes first: they may take different streams.
    pub(crate) fn ended(&self, id: u64, tail: Tail) -> Result<Option<Tail>, Violation> {
        let mut state = lock(&self.state);
        let twice = || Violation::new("a file ends twice");
        if let Some(bytes) = state.spoiled.get(&id) {
            return (*bytes == tail.bytes).then_some(None).ok_or_else(twice);
        }
        let under_way = state.under_way.get_mut(&id).ok_or_else(not_wanted)?;
        if under_way.hash {
            return Err(Violation::new("a hash comes in pieces"));
        }
        match &under_way.end {
            Some(earlier) if earlier.bytes != tail.bytes => return Err(twice()),
            Some(earlier) if earlier.status != ReadStatus::Stable => {}
            _ => under_way.end = Some(Box::new(tail)),
        }
        let ended = state.end(id)?;
        self.wake(&state);
        Ok(ended)
    }

    /// Wakes who waits, when that is worth it: a wake-up is a system call, and room for one file would
    /// make a message of one want.
    fn wake(&self, state: &State) {
        if state.waiting > 0 && state.bytes <= LOW {
            self.released.notify_all();
        }
    }

    /// Ends all waiting: the session is over.
    pub(crate) fn close(&self, error: SourceError) {
        lock(&self.state).lost.get_or_insert(error);
        self.released.notify_all();
    }
}

impl State {
    /// Adds as many as fit; `None` if none does.
    fn admit(&mut self, wants: &[Want]) -> Option<Result<usize, SourceError>> {
        if let Some(error) = &self.lost {
            return Some(Err(error.clone()));
        }
        let admitted = wants.iter().take_while(|want| self.add(want)).count();
        (admitted > 0 || wants.is_empty()).then_some(Ok(admitted))
    }

    /// Adds a want if it fits; alone, anything fits.
    fn add(&mut self, want: &Want) -> bool {
        let weight = want.size.max(LEAST);
        let full = self.bytes.saturating_add(weight) > BYTES;
        if full && !self.under_way.is_empty() {
            return false;
        }
        self.bytes = self.bytes.saturating_add(weight);
        self.under_way.insert(
            want.id,
            UnderWay {
                hash: want.hash,
                weight,
                received: 0,
                end: None,
            },
        );
        true
    }

    fn remove(&mut self, id: u64) -> Option<UnderWay> {
        let under_way = self.under_way.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(under_way.weight);
        Some(under_way)
    }

    /// Removes a file that has ended and of which no piece is missing.
    fn end(&mut self, id: u64) -> Result<Option<Tail>, Violation> {
        let Some(under_way) = self.under_way.get(&id) else {
            return Ok(None);
        };
        match &under_way.end {
            Some(end) if under_way.received > end.bytes => {
                Err(Violation::new("more of a file arrived than was sent"))
            }
            Some(end) if under_way.received == end.bytes => {
                if end.status != ReadStatus::Stable {
                    let bytes = end.bytes;
                    self.spoiled.insert(id, bytes);
                }
                let ended = self.remove(id).and_then(|under_way| under_way.end);
                Ok(ended.map(|end| *end))
            }
            _ => Ok(None),
        }
    }
}

fn not_wanted() -> Violation {
    Violation::new("a file arrives that nobody asked for")
}

#[cfg(test)]
mod tests;
