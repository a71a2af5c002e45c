//! Puts pieces of listings in order that several threads scanned at the same time.

use std::collections::{BTreeMap, HashMap};

use blit_engine::run::Part;

/// Holds a piece back until the piece that names its directory, and the pieces before it, have gone.
#[derive(Debug)]
pub(crate) struct Sequencer<T> {
    /// Next piece of each directory that was named and has not ended.
    expected: HashMap<u64, u32>,
    held: HashMap<u64, BTreeMap<u32, (Slot, T)>>,
}

/// What the order depends on.
#[derive(Debug)]
pub(crate) struct Slot {
    dir: u64,
    part: u32,
    last: bool,
    names: Vec<u64>,
}

impl Slot {
    /// Returns the place of a piece.
    pub(crate) fn of(part: &Part) -> Self {
        Self {
            dir: part.dir.0,
            part: part.part,
            last: part.end.is_some(),
            names: part
                .entries
                .iter()
                .filter_map(|entry| entry.dir)
                .map(|dir| dir.0)
                .collect(),
        }
    }
}

impl<T> Sequencer<T> {
    /// The state before the first piece: the root is known.
    pub(crate) fn new() -> Self {
        Self {
            expected: HashMap::from([(0, 0)]),
            held: HashMap::new(),
        }
    }

    /// Takes a piece; returns what may go now, in order.
    pub(crate) fn push(&mut self, slot: Slot, piece: T) -> Vec<T> {
        let dir = slot.dir;
        self.held
            .entry(dir)
            .or_default()
            .insert(slot.part, (slot, piece));
        let mut ready = Vec::new();
        let mut check = vec![dir];
        while let Some(dir) = check.pop() {
            self.release(dir, &mut ready, &mut check);
        }
        ready
    }

    /// Returns true if nothing is held back and nothing is expected.
    pub(crate) fn is_finished(&self) -> bool {
        self.expected.is_empty() && self.held.is_empty()
    }

    fn release(&mut self, dir: u64, ready: &mut Vec<T>, check: &mut Vec<u64>) {
        let (Some(next), Some(held)) = (self.expected.get_mut(&dir), self.held.get_mut(&dir))
        else {
            return;
        };
        let mut named = Vec::new();
        let mut last = false;
        while let Some((slot, piece)) = held.remove(next) {
            *next += 1;
            last |= slot.last;
            named.extend(slot.names);
            ready.push(piece);
        }
        if held.is_empty() {
            self.held.remove(&dir);
        }
        if last {
            self.expected.remove(&dir);
        }
        for child in named {
            self.expected.insert(child, 0);
            check.push(child);
        }
    }
}

#[cfg(test)]
mod tests;
