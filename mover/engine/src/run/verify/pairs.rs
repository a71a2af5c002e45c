//! Which inodes of the two sides belong together: link groups are the same if they pair off.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::entry::{Inode, Meta};

/// Inodes with several names that were met so far, paired.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    of_source: HashMap<Inode, Inode>,
    of_destination: HashMap<Inode, Inode>,
}

/// What is known of two inodes that have the same name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Neither belongs to another one by an earlier name, and the destination's has no name more.
    pub(super) right: bool,
    /// They meet for the first time.
    pub(super) first: bool,
}

impl Pairs {
    /// Pairs the inodes that both have one name.
    pub(super) fn pair(&mut self, source: &Meta, destination: &Meta) -> Pair {
        if source.nlink <= 1 && destination.nlink <= 1 {
            return Pair {
                right: true,
                first: true,
            };
        }
        let (one, other) = (source.inode(), destination.inode());
        let (known, right) = agree(&mut self.of_source, one, other);
        let (known_too, right_too) = agree(&mut self.of_destination, other, one);
        Pair {
            right: right && right_too && destination.nlink <= source.nlink,
            first: !(known && known_too && right && right_too),
        }
    }
}

/// Returns whether `from` was known, and whether it belongs to `to`.
fn agree(map: &mut HashMap<Inode, Inode>, from: Inode, to: Inode) -> (bool, bool) {
    match map.entry(from) {
        Entry::Occupied(known) => (true, *known.get() == to),
        Entry::Vacant(vacant) => {
            vacant.insert(to);
            (false, true)
        }
    }
}

#[cfg(test)]
mod tests;
