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
pub(crate) struct Proof {
    codes: Codes,
    /// As many as there are files under way, and pieces of others: a stream that brings one of these ends.
    files: Mutex<HashMap<u64, Arrived>>,
    /// What was judged, for tests.
    #[cfg(test)]
    pub(crate) judged: Mutex<Vec<(u64, bool)>>,
}

/// What arrived of a file that goes in pieces.
#[derive(Default)]
struct Arrived {
    sum: Sum,
    end: Option<End>,
    /// Pieces that have begun and have not passed.
    passing: u32,
    /// Pieces that a stream lost before their end, with what is to come of them: as many as streams broke.
    cut: HashMap<(u64, u32), Passing>,
}

/// What the end of a file said.
struct End {
    is_stable: bool,
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

    pub(crate) fn new(codes: Codes) -> Self {
        Self {
            codes,
            files: Mutex::default(),
            #[cfg(test)]
            judged: Mutex::default(),
        }
    }

    /// Returns true if a file that came whole is what was sent.
    pub(crate) fn is_proven(&self, file: &WholeFile<'_>) -> bool {
        file.code.is_some_and(|coded| {
            let expected = self.codes.whole(file.id, file.content, coded.result);
            same(&expected, &coded.code)
        })
    }

    /// Begins the code of a piece whose bytes are about to pass, or goes on with that of one that was cut. Call it before
    /// it is asked whether the file may arrive.
    pub(crate) fn passing(&self, id: u64, offset: u64, length: u32) -> Passing {
        let mut files = lock(&self.files);
        let arrived = files.entry(id).or_default();
        arrived.passing += 1;
        let cut = arrived.cut.remove(&(offset, length));
        cut.unwrap_or_else(|| self.codes.piece(id, offset, length))
    }

    /// Keeps the code of a piece that its stream lost: `length` bytes from `offset` will come over another one. Nobody
    /// writes it any more.
    pub(crate) fn cut(&self, id: u64, offset: u64, length: u32, piece: Passing) {
        if let Some(arrived) = lock(&self.files).get_mut(&id) {
            arrived.cut.insert((offset, length), piece);
            arrived.passing = arrived.passing.saturating_sub(1);
        }
    }

    /// Counts a piece that has passed.
    pub(crate) fn passed(&self, id: u64, piece: &Passing) {
        if let Some(arrived) = lock(&self.files).get_mut(&id) {
            piece.add_to(&mut arrived.sum);
            arrived.passing = arrived.passing.saturating_sub(1);
        }
    }

    /// Takes what the end of a file said, before its last piece may have come. Of two ends the one counts that is not
    /// stable, whichever comes first.
    pub(crate) fn end(&self, id: u64, tail: &Tail, coded: Option<Coded<'_>>) {
        let end = coded.map(|coded| End {
            is_stable: tail.status == ReadStatus::Stable,
            bytes: tail.bytes,
            result: coded.result.to_vec(),
            code: coded.code,
        });
        let mut files = lock(&self.files);
        let place = &mut files.entry(id).or_default().end;
        if place.as_ref().is_none_or(|earlier| earlier.is_stable) {
            *place = end;
        }
    }

    /// Forgets an end that came when the file was done.
    pub(crate) fn forget(&self, id: u64) {
        lock(&self.files).remove(&id);
    }

    /// Judges a file of which everything is there.
    pub(crate) fn settle(&self, id: u64, tail: Tail) -> Tail {
        let arrived = lock(&self.files).remove(&id).unwrap_or_default();
        let (still, is_stable) = (arrived.passing > 0, tail.status == ReadStatus::Stable);
        let proven = arrived.end.is_some_and(|end| {
            let sum = arrived.sum.of_end(is_stable);
            let expected = self.codes.end(id, end.bytes, sum, &end.result);
            // What a file ends as is what its end proves.
            !still && end.is_stable == is_stable && same(&expected, &end.code)
        });
        #[cfg(test)]
        lock(&self.judged).push((id, proven));
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

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof")
    }
}

#[cfg(test)]
mod tests;
