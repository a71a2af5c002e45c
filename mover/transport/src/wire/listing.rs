//! The rules of a listing, as the destination checks them while it arrives.
//!
//! A directory is named by an entry before its own pieces come; its pieces are numbered without gaps; the
//! last says how many entries there were; no directory has two listings; the listing is over only when
//! every directory has ended and the totals agree.

use std::collections::{BTreeMap, HashMap};

use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::{ListingPart, ManifestComplete};

use super::Violation;

/// Most entries that one message can hold: each takes at least a few bytes of at most 4 MiB.
const ENTRIES_PER_PART: usize = 1 << 17;

/// What has been listed so far.
#[derive(Debug)]
pub(crate) struct ListingRules {
    /// Directories that were named and have not ended.
    open: HashMap<u64, Open>,
    /// Every directory that was named.
    named: IdSet,
    directories: u64,
    entries: u64,
    finished: bool,
}

#[derive(Debug, Default)]
struct Open {
    next_part: u32,
    entries: u64,
}

impl ListingRules {
    /// The state before the first piece: the root is known.
    pub(crate) fn new() -> Self {
        let mut named = IdSet::default();
        named.insert(0);
        let open = HashMap::from([(0, Open::default())]);
        Self {
            open,
            named,
            directories: 0,
            entries: 0,
            finished: false,
        }
    }

    /// Takes the next piece.
    pub(crate) fn part(&mut self, part: &ListingPart) -> Result<(), Violation> {
        if self.finished {
            return Err(Violation::new("a listing goes on after its end"));
        }
        let Some(open) = self.open.get_mut(&part.dir) else {
            return Err(Violation::new(
                "a listing is of a directory that is not expected",
            ));
        };
        if part.part != open.next_part {
            return Err(Violation::new("the pieces of a listing are out of order"));
        }
        if part.entries.len() > ENTRIES_PER_PART {
            return Err(Violation::new("a piece of a listing has too many entries"));
        }
        open.next_part = part
            .part
            .checked_add(1)
            .ok_or_else(|| Violation::new("too many pieces"))?;
        open.entries += part.entries.len() as u64;
        self.entries += part.entries.len() as u64;
        if let Some(end) = &part.end {
            let listed = open.entries;
            self.open.remove(&part.dir);
            self.directories += 1;
            match end.outcome {
                Some(Outcome::CompleteCount(count)) if count != listed => {
                    return Err(Violation::new(
                        "a listing has not as many entries as it says",
                    ));
                }
                None => return Err(Violation::new("a listing ends without a result")),
                Some(_) => {}
            }
        }
        for dir in part.entries.iter().filter_map(|entry| entry.dir) {
            if !self.named.insert(dir) {
                return Err(Violation::new("two directories have the same number"));
            }
            self.open.insert(dir, Open::default());
        }
        Ok(())
    }

    /// Takes the end of the listing.
    pub(crate) fn complete(&mut self, end: &ManifestComplete) -> Result<(), Violation> {
        if self.finished || !self.open.is_empty() {
            return Err(Violation::new(
                "the listing ends while directories are missing",
            ));
        }
        if end.directories != self.directories || end.entries != self.entries {
            return Err(Violation::new("the totals of the listing do not agree"));
        }
        self.finished = true;
        Ok(())
    }
}

/// A set of numbers, most of which are neighbours: kept as ranges.
#[derive(Debug, Default)]
struct IdSet(BTreeMap<u64, u64>);

impl IdSet {
    /// Inserts a number; returns false if it was there.
    fn insert(&mut self, id: u64) -> bool {
        let below = self
            .0
            .range(..=id)
            .next_back()
            .map(|(&first, &last)| (first, last));
        if below.is_some_and(|(_, last)| last >= id) {
            return false;
        }
        let first = match below {
            Some((first, last)) if last.checked_add(1) == Some(id) => first,
            _ => id,
        };
        let last = id
            .checked_add(1)
            .and_then(|next| self.0.remove(&next))
            .unwrap_or(id);
        self.0.insert(first, last);
        true
    }
}

#[cfg(test)]
mod tests;
