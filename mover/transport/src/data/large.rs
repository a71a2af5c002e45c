//! A large file on its way: its ranges of data are sent in pieces, by any thread over any stream.

use std::sync::Mutex;

use blit_engine::entry::Entry;
use blit_engine::run::ReadStatus;
use blit_engine::tree::SourceFile;

use super::FileSent;
use crate::sync::lock;
use crate::wire::frame::CHUNK_BYTES;

/// An open source file and what has been sent of it.
#[derive(Debug)]
pub(crate) struct LargeFile {
    /// The want.
    pub(crate) id: u64,
    file: SourceFile,
    extents: Vec<(u64, u64)>,
    state: Mutex<State>,
}

/// A range to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Position in the file.
    pub(crate) offset: u64,
    /// Length, at most [`CHUNK_BYTES`].
    pub(crate) length: u32,
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
}

#[derive(Debug, Default)]
struct State {
    cursor: Cursor,
    in_flight: u32,
    bytes: u64,
    zero_copy: u64,
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
    pub(crate) fn new(id: u64, file: SourceFile) -> Self {
        let (extents, problem) = match file.extents() {
            Ok(extents) => (extents, None),
            Err(error) => (
                Vec::new(),
                Some(ReadStatus::Failed(format!("cannot find holes: {error}"))),
            ),
        };
        Self {
            id,
            file,
            extents,
            state: Mutex::new(State {
                problem,
                ..State::default()
            }),
        }
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
        let piece = state.cursor.advance(&self.extents)?;
        state.in_flight += 1;
        Some(piece)
    }

    /// Counts a piece that was sent.
    pub(crate) fn sent(&self, piece: Piece, sent: FileSent) {
        let mut state = lock(&self.state);
        state.in_flight -= 1;
        state.bytes += u64::from(piece.length);
        state.zero_copy += sent.zero_copy;
        if let Some(problem) = sent.problem {
            state.problem.get_or_insert(problem);
        }
    }

    /// Returns how the file ended if nothing of it is left to be sent. Only one caller gets it.
    pub(crate) fn end(&self) -> Option<Ending> {
        let mut state = lock(&self.state);
        let left = state.problem.is_none() && state.cursor.extent < self.extents.len();
        if left || state.in_flight > 0 || state.ended {
            return None;
        }
        state.ended = true;
        let status = match state.problem.take() {
            Some(problem) => problem,
            None => self.file.verify(),
        };
        let (bytes, zero_copy) = (state.bytes, state.zero_copy);
        Some(Ending {
            status,
            fresh: self.file.fresh(),
            bytes,
            zero_copy,
        })
    }
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
