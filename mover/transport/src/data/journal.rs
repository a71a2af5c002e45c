//! What a stream has carried and the other side has not confirmed: with it, what is lost with a stream is sent
//! again, and nothing else.
//!
//! Frames of a stream count from 0. The other side says how many it has dealt with, and of the one after them how
//! many bytes, when it confirms and when a stream is over. Invariants: a frame is noted before its first byte is
//! sent, so that whatever can be lost is noted; what is noted holds no handle, so that many may wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::large::{LargeFile, Origin, Piece};
use super::queue::{Again, Batch, Preference, Queue};
use crate::sync::lock;
use crate::wire::Violation;

/// Bytes of hashes of blocks, or of ranges, that weigh as much as a file.
const HASHES: usize = 4096;

/// What a frame carried.
#[derive(Debug)]
pub(crate) enum Carried {
    /// Whole files and hashes.
    Files(Batch),
    /// A piece of a large file.
    Piece {
        /// The file.
        origin: Arc<Origin>,
        /// The file, while it is open.
        file: Weak<LargeFile>,
        /// The piece.
        piece: Piece,
        /// Bytes of it that were sent without a copy.
        zero_copy: u64,
    },
    /// The end of a large file.
    End(Arc<Origin>),
}

/// How far a stream got at the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Frames that were dealt with.
    pub(crate) frames: u64,
    /// Bytes of the content of the next frame.
    pub(crate) bytes: u64,
}

/// The journal of one stream.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    notes: Mutex<Notes>,
    /// Nothing is sent again, so nothing is noted: nobody would confirm it.
    forgets: bool,
    /// The stream takes no more work.
    left: AtomicBool,
    /// Of the work that there is it takes that of large files first.
    large_first: AtomicBool,
}

#[derive(Debug, Default)]
struct Notes {
    /// The number of the first of `carried`.
    first: u64,
    carried: VecDeque<Carried>,
}

impl Journal {
    /// Makes the journal of a stream whose loss is the end of the session.
    pub(crate) fn forgetful() -> Self {
        Self {
            forgets: true,
            ..Self::default()
        }
    }

    /// Returns true if another stream can take the place of this one.
    pub(crate) fn recovers(&self) -> bool {
        !self.forgets
    }

    /// Notes a frame that is about to be sent.
    pub(crate) fn note(&self, carried: Carried) {
        if self.forgets {
            return;
        }
        lock(&self.notes).carried.push_back(carried);
    }

    /// Notes that the frame noted last, a piece, went without a copy.
    pub(crate) fn without_copy(&self, bytes: u64) {
        if let Some(Carried::Piece { zero_copy, .. }) = lock(&self.notes).carried.back_mut() {
            *zero_copy = bytes;
        }
    }

    /// Has the stream take no more work; what it has taken is sent.
    pub(crate) fn leave(&self, queue: &Queue) {
        self.left.store(true, Ordering::Relaxed);
        queue.wake();
    }

    /// Where the thread of the stream looks whether it is to be left.
    pub(crate) fn left(&self) -> &AtomicBool {
        &self.left
    }

    /// Forgets what has arrived.
    pub(crate) fn confirm(&self, arrived: Arrived) -> Result<(), Violation> {
        lock(&self.notes).forget(arrived.frames)
    }

    /// Says which kind of work the stream takes first from now on; small files where it was never said.
    pub(crate) fn prefer(&self, preference: Preference) {
        let large_first = preference == Preference::Large;
        self.large_first.store(large_first, Ordering::Relaxed);
    }

    /// Returns which kind of work the stream takes first.
    pub(crate) fn preference(&self) -> Preference {
        match self.large_first.load(Ordering::Relaxed) {
            true => Preference::Large,
            false => Preference::Small,
        }
    }

    /// The stream is over at both ends: puts what did not arrive back into the queue.
    pub(crate) fn settle(&self, arrived: Arrived, queue: &Queue) -> Result<(), Violation> {
        let mut notes = lock(&self.notes);
        notes.forget(arrived.frames)?;
        let mut bytes = arrived.bytes;
        for carried in std::mem::take(&mut notes.carried) {
            // Of the first only.
            let bytes = std::mem::take(&mut bytes);
            match carried {
                Carried::Files(batch) => queue.take_back(batch),
                Carried::Piece {
                    origin,
                    file,
                    piece,
                    zero_copy,
                } => {
                    let Some(left) = piece.after(bytes)? else {
                        continue;
                    };
                    match file.upgrade() {
                        Some(file) if file.lost(left, zero_copy) => queue.opened(file),
                        _ => queue.again(Again {
                            origin,
                            piece: Some(left),
                        }),
                    }
                }
                Carried::End(origin) => queue.again(Again {
                    origin,
                    piece: None,
                }),
            }
        }
        Ok(())
    }

    /// Counts the files and pieces that wait to be confirmed, and hashes of blocks by their size.
    pub(crate) fn weight(&self) -> usize {
        let notes = lock(&self.notes);
        let of_parts = |batch: &Batch| {
            let blocks = batch.blocks.iter().map(|answer| answer.hashes.len());
            let ranges = batch
                .ranges
                .iter()
                .map(|(_, ranges)| size_of_val(&ranges[..]));
            let bytes = blocks.chain(ranges);
            bytes.map(|bytes| 1 + bytes / HASHES).sum::<usize>()
        };
        let weights = notes.carried.iter().map(|carried| match carried {
            Carried::Files(batch) => batch.jobs.len() + batch.answers.len() + of_parts(batch),
            Carried::Piece { .. } | Carried::End(_) => 1,
        });
        weights.sum()
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.notes).carried.len()
    }
}

impl Notes {
    fn forget(&mut self, frames: u64) -> Result<(), Violation> {
        let count = frames.saturating_sub(self.first);
        if count > self.carried.len() as u64 {
            return Err(Violation::new("frames are confirmed that were not sent"));
        }
        // At most the length, so it fits.
        self.carried.drain(..count as usize);
        self.first += count;
        Ok(())
    }
}

impl Piece {
    /// Returns what is left when so many bytes have arrived; `None` if nothing is.
    fn after(self, bytes: u64) -> Result<Option<Self>, Violation> {
        let more = || Violation::new("more of a piece arrived than was sent");
        let arrived = u32::try_from(bytes).map_err(|_| more())?;
        let length = self.length.checked_sub(arrived).ok_or_else(more)?;
        Ok((length > 0).then_some(Self {
            offset: self.offset + bytes,
            length,
            again: true,
        }))
    }
}

#[cfg(test)]
mod tests;
