//! A large file on its way: its ranges of data are sent in pieces, by any thread over any stream.
//!
//! What a stream lost with it comes back ([`LargeFile::lost`]) and is sent again, as long as the file has not
//! ended; afterwards its [`Origin`] is enough to open it anew.

use std::sync::{Arc, Mutex, OnceLock};

use blit_engine::entry::{DirId, Entry};
use blit_engine::run::ReadStatus;
use blit_engine::tree::SourceFile;

use super::FileSent;
use crate::sync::lock;
use crate::wire::codes::{Passing, Sum};
use crate::wire::frame::CHUNK_BYTES;

/// An open source file and what has been sent of it.
#[derive(Debug)]
pub(crate) struct LargeFile {
    /// What it is.
    pub(crate) origin: Arc<Origin>,
    file: SourceFile,
    extents: Vec<(u64, u64)>,
    whole: bool,
    state: Mutex<State>,
}

/// What a large file is, for as long as something of it may have to be sent again. It holds no handle.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The want.
    pub(crate) id: u64,
    /// Directory that holds it, as the local scan numbers it.
    pub(crate) dir: DirId,
    /// The entry as it was when the file was opened.
    pub(crate) entry: Entry,
    /// How sending it ended, once it has.
    pub(crate) ending: OnceLock<Ending>,
}

/// A range to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Position in the file.
    pub(crate) offset: u64,
    /// Length, at most [`CHUNK_BYTES`].
    pub(crate) length: u32,
    /// It is sent again: in a session that verifies its code counts already, as part of the piece it was.
    pub(crate) again: bool,
}

/// How sending a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// How reading ended.
    pub(crate) status: ReadStatus,
    /// The entry if it differs from the listing.
    pub(crate) fresh: Option<Entry>,
    /// Content bytes sent.
    pub(crate) bytes: u64,
    /// Of these, sent without a copy.
    pub(crate) zero_copy: u64,
    /// The codes of all pieces, in a session that verifies.
    pub(crate) sum: Sum,
}

#[derive(Debug, Default)]
struct State {
    cursor: Cursor,
    /// Pieces that were lost with their stream.
    again: Vec<Piece>,
    in_flight: u32,
    bytes: u64,
    zero_copy: u64,
    sum: Sum,
    problem: Option<ReadStatus>,
    ended: bool,
}

/// Next position: which range, and how far into it.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    extent: usize,
    done: u64,
}

impl LargeFile {
    /// Takes an open file and looks where its data is.
    pub(crate) fn new(id: u64, dir: DirId, file: SourceFile) -> Self {
        let (extents, problem) = match file.extents() {
            Ok(extents) => (extents, None),
            Err(error) => (
                Vec::new(),
                Some(ReadStatus::Failed(format!("cannot find holes: {error}"))),
            ),
        };
        let origin = Origin {
            id,
            dir,
            entry: file.entry().clone(),
            ending: OnceLock::new(),
        };
        Self {
            origin: Arc::new(origin),
            file,
            extents,
            whole: true,
            state: Mutex::new(State {
                problem,
                ..State::default()
            }),
        }
    }

    /// Takes an open file of which only ranges are wanted; holes in them are not sent either.
    pub(crate) fn within(id: u64, dir: DirId, file: SourceFile, ranges: &[(u64, u64)]) -> Self {
        let all = Self::new(id, dir, file);
        Self {
            extents: common(&all.extents, ranges),
            whole: false,
            ..all
        }
    }

    /// Returns true if all of the file is sent.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The file.
    pub(crate) fn file(&self) -> &SourceFile {
        &self.file
    }

    /// Takes the next piece; it must be reported with [`Self::sent`].
    pub(crate) fn next(&self) -> Option<Piece> {
        let mut state = lock(&self.state);
        if state.problem.is_some() {
            return None;
        }
        let piece = match state.again.pop() {
            Some(piece) => piece,
            None => state.cursor.advance(&self.extents)?,
        };
        state.in_flight += 1;
        Some(piece)
    }

    /// Takes back what is left of a piece that was counted as sent and did not arrive. Returns false if the file
    /// has ended: then it is opened anew.
    pub(crate) fn lost(&self, left: Piece, zero_copy: u64) -> bool {
        let mut state = lock(&self.state);
        if state.ended {
            return false;
        }
        let length = u64::from(left.length);
        state.bytes = state.bytes.saturating_sub(length);
        state.zero_copy = state.zero_copy.saturating_sub(zero_copy.min(length));
        state.again.push(left);
        true
    }

    /// Takes back a piece of which nothing was sent.
    pub(crate) fn not_sent(&self, piece: Piece) {
        let mut state = lock(&self.state);
        state.in_flight -= 1;
        state.again.push(piece);
    }

    /// Counts a piece that was sent, with its code in a session that verifies, unless that was counted before.
    pub(crate) fn sent(&self, piece: Piece, sent: FileSent, code: Option<&Passing>) {
        let mut state = lock(&self.state);
        if let Some(code) = code {
            code.add_to(&mut state.sum);
        }
        state.in_flight -= 1;
        state.bytes += u64::from(piece.length);
        state.zero_copy += sent.zero_copy;
        if let Some(problem) = sent.problem {
            state.problem.get_or_insert(problem);
        }
    }

    /// Returns how the file ended if nothing of it is left to be sent. Only one caller gets it.
    pub(crate) fn end(&self) -> Option<&Ending> {
        let mut state = lock(&self.state);
        let more = state.cursor.extent < self.extents.len() || !state.again.is_empty();
        let left = state.problem.is_none() && more;
        if left || state.in_flight > 0 || state.ended {
            return None;
        }
        state.ended = true;
        let status = match state.problem.take() {
            Some(problem) => problem,
            None => self.file.verify(),
        };
        let (bytes, zero_copy, sum) = (state.bytes, state.zero_copy, state.sum);
        Some(self.origin.ending.get_or_init(|| Ending {
            status,
            fresh: self.file.fresh(),
            bytes,
            zero_copy,
            sum,
        }))
    }
}

/// Returns what two lists of ranges have in common; both are in ascending order.
fn common(some: &[(u64, u64)], other: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let (mut some, mut other) = (some.iter().peekable(), other.iter().peekable());
    while let (Some(&&(a, a_length)), Some(&&(b, b_length))) = (some.peek(), other.peek()) {
        let (start, end) = (a.max(b), (a + a_length).min(b + b_length));
        if start < end {
            found.push((start, end - start));
        }
        if a + a_length < b + b_length {
            some.next();
        } else {
            other.next();
        }
    }
    found
}

impl Cursor {
    fn advance(&mut self, extents: &[(u64, u64)]) -> Option<Piece> {
        let &(offset, length) = extents.get(self.extent)?;
        let left = length - self.done;
        // At most CHUNK_BYTES, so it fits.
        let take = left.min(u64::from(CHUNK_BYTES));
        let piece = Piece {
            offset: offset + self.done,
            length: take as u32,
            again: false,
        };
        self.done += take;
        if self.done == length {
            *self = Self {
                extent: self.extent + 1,
                done: 0,
            };
        }
        Some(piece)
    }
}

#[cfg(test)]
pub(crate) mod tests;
