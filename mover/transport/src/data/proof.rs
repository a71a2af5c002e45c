//! Proves, where a run verifies, that what arrived is what was sent: compares the codes of files with what the
//! receiver threads got.
//!
//! A file whose code does not fit ends as [`ReadStatus::Altered`], whatever the source said of it; the engine then
//! asks for it again.
//!
//! Invariant: nothing writes to a file that was proven. Whoever is about to write says so before he asks whether the
//! file may arrive; and a file to which somebody still writes when everything is there is not proven, because who
//! sent it sends nothing twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use blit_engine::fs::hash::Hash;
use blit_engine::run::{ReadStatus, Tail};

use crate::auth::token::{MintError, random_key};
use crate::sync::lock;
use crate::wire::codes::{Codes, Passing, Sum, same};
use crate::wire::files::{Coded, WholeFile};

/// What arrived of the files that are under way in a session that verifies.
#[derive(Debug)]
pub(crate) struct Proof {
    codes: Codes,
    /// As many as there are files under way, and pieces of others: a stream that brings one of these ends.
    files: Mutex<HashMap<u64, Arrived>>,
}

/// What arrived of a file that goes in pieces.
#[derive(Debug, Default)]
struct Arrived {
    sum: Sum,
    end: Option<End>,
    /// Pieces that have begun and have not passed.
    passing: u32,
}

/// What the end of a file said.
#[derive(Debug)]
struct End {
    bytes: u64,
    result: Vec<u8>,
    code: Hash,
}

impl Proof {
    /// Makes a key for the source, and what judges by it.
    pub(crate) fn begin() -> Result<(Arc<Self>, Vec<u8>), MintError> {
        let key = random_key()?;
        Ok((Arc::new(Self::new(Codes::from(key))), key.to_vec()))
    }

    fn new(codes: Codes) -> Self {
        Self {
            codes,
            files: Mutex::default(),
        }
    }

    /// Returns true if a file that came whole is what was sent.
    pub(crate) fn is_proven(&self, file: &WholeFile<'_>) -> bool {
        file.code.is_some_and(|coded| {
            let expected = self.codes.whole(file.id, file.content, coded.result);
            same(&expected, &coded.code)
        })
    }

    /// Begins the code of a piece whose bytes are about to pass. Call it before it is asked whether the file may
    /// arrive.
    pub(crate) fn passing(&self, id: u64, offset: u64, length: u32) -> Passing {
        lock(&self.files).entry(id).or_default().passing += 1;
        self.codes.piece(id, offset, length)
    }

    /// Counts a piece that has passed.
    pub(crate) fn passed(&self, id: u64, piece: &Passing) {
        if let Some(arrived) = lock(&self.files).get_mut(&id) {
            piece.add_to(&mut arrived.sum);
            arrived.passing = arrived.passing.saturating_sub(1);
        }
    }

    /// Takes what the end of a file said, before its last piece may have come.
    pub(crate) fn end(&self, id: u64, bytes: u64, coded: Option<Coded<'_>>) {
        let end = coded.map(|coded| End {
            bytes,
            result: coded.result.to_vec(),
            code: coded.code,
        });
        lock(&self.files).entry(id).or_default().end = end;
    }

    /// Judges a file of which everything is there.
    pub(crate) fn settle(&self, id: u64, tail: Tail) -> Tail {
        let arrived = lock(&self.files).remove(&id).unwrap_or_default();
        let still = arrived.passing > 0;
        let proven = arrived.end.is_some_and(|end| {
            let expected = self.codes.end(id, end.bytes, arrived.sum, &end.result);
            !still && same(&expected, &end.code)
        });
        if proven { tail } else { altered(tail) }
    }
}

/// Returns the end of a file that is not what was sent.
pub(crate) fn altered(tail: Tail) -> Tail {
    Tail {
        status: ReadStatus::Altered,
        fresh: None,
        ..tail
    }
}

#[cfg(test)]
mod tests;
