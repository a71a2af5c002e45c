//! What was listed and may still be asked for.
//!
//! The destination names files by directory, piece and position, so that it can only ask for what was
//! listed. Only regular files are kept.

use std::collections::HashMap;
use std::sync::Mutex;

use blit_engine::entry::{DirId, Entry, Kind};
use blit_engine::run::Listing;
use blit_engine::tree::LocalSource;

use crate::data::queue::Job;
use crate::sync::lock;
use crate::wire::Violation;
use crate::wire::wants::Wanted;

/// Files that were listed, by the pieces in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Retained(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pieces: HashMap<(u64, u32), Piece>,
    /// Pieces of a local part that are not done yet, where there are several.
    parts: HashMap<(u64, u32), Part>,
}

#[derive(Debug)]
struct Piece {
    /// Position in the piece, and the file; by position.
    files: Vec<(u32, Entry)>,
    /// The part that the local scan knows.
    local: u32,
}

#[derive(Debug, Default)]
struct Part {
    open: u32,
    keep: bool,
}

impl Retained {
    /// Keeps a part of the local scan that is sent in `pieces`; the first gets number `first`.
    pub(super) fn keep(&self, dir: DirId, local: u32, first: u32, pieces: Vec<Vec<Entry>>) {
        let mut state = lock(&self.0);
        let part = Part {
            open: pieces.len() as u32,
            keep: false,
        };
        state.parts.insert((dir.0, local), part);
        for (number, entries) in (first..).zip(pieces) {
            let files = (0..)
                .zip(entries)
                .filter(|(_, entry)| entry.meta.kind == Kind::File);
            let files = files.collect();
            state.pieces.insert((dir.0, number), Piece { files, local });
        }
    }

    /// Looks up files that are wanted.
    pub(super) fn find(&self, wanted: &[Wanted]) -> Result<Vec<Job>, Violation> {
        let state = lock(&self.0);
        wanted.iter().map(|want| state.find(want)).collect()
    }

    /// A piece is done with; tells the local scan when its part is.
    pub(super) fn done(
        &self,
        source: &LocalSource,
        dir: u64,
        number: u32,
        keep: bool,
    ) -> Result<(), Violation> {
        if let Some((local, keep)) = lock(&self.0).done(dir, number, keep)? {
            source.done(DirId(dir), local, keep);
        }
        Ok(())
    }
}

impl State {
    fn find(&self, want: &Wanted) -> Result<Job, Violation> {
        let unlisted = || Violation::new("a file is wanted that was not listed");
        let piece = self
            .pieces
            .get(&(want.dir, want.part))
            .ok_or_else(unlisted)?;
        let at = piece
            .files
            .binary_search_by_key(&want.index, |(index, _)| *index);
        let (_, entry) = at
            .ok()
            .and_then(|at| piece.files.get(at))
            .ok_or_else(unlisted)?;
        Ok(Job {
            id: want.id,
            dir: DirId(want.dir),
            entry: entry.clone(),
            late: false,
        })
    }

    fn done(
        &mut self,
        dir: u64,
        number: u32,
        keep: bool,
    ) -> Result<Option<(u32, bool)>, Violation> {
        let unlisted = || Violation::new("a listing is done that was not sent");
        let Piece { local, .. } = self.pieces.remove(&(dir, number)).ok_or_else(unlisted)?;
        let part = self.parts.get_mut(&(dir, local)).ok_or_else(unlisted)?;
        part.open -= 1;
        part.keep |= keep;
        let keep = part.keep;
        if part.open > 0 {
            return Ok(None);
        }
        self.parts.remove(&(dir, local));
        Ok(Some((local, keep)))
    }
}

#[cfg(test)]
mod tests;
