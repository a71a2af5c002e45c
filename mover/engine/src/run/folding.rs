//! Destinations that take names for one which the source tells apart: nothing is written under such a name, and
//! nothing is deleted that is only spelled differently.
//!
//! Nobody is asked whether the destination folds case unless the source has such names: then one is made in the
//! directory that it is about, and looked for under its other spelling. A directory without rivals costs nothing
//! but the comparison of hashes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::directory::Directory;
use super::orchestrator::Run;
use super::planner::Sides;
use super::slots::Slot;
use super::source::Part;
use crate::apply::remove::Listed;
use crate::entry::{Entry, Kind};
use crate::fs::Dir;
use crate::fs::dir::MODE_PRIVATE_FILE;
use crate::plan::rivals::{fold, rivals};

impl Run {
    /// Returns the positions in a part of names that the destination would not tell from another one.
    pub(super) fn rivals(
        &self,
        directory: &Directory,
        sides: &Sides,
        part: &Part,
    ) -> HashSet<usize> {
        let names = part.entries.iter().map(|entry| &*entry.name);
        let folded: Vec<u64> = names.map(|name| self.hasher.hash(&fold(name))).collect();
        let mut found = rivals(&folded);
        if part.part > 0 || part.end.is_none() {
            found.extend(directory.claim_folded(&folded));
        }
        if !found.is_empty() && !self.folds_case(directory, sides, part, &found) {
            found.clear();
        }
        found
    }

    /// Tells whether a directory of the destination takes spellings of a name for one.
    fn folds_case(
        &self,
        directory: &Directory,
        sides: &Sides,
        part: &Part,
        found: &HashSet<usize>,
    ) -> bool {
        let dir = &sides.destination;
        if !directory.is_private() {
            let stat = |index: &usize| dir.stat(&part.entries[*index].name);
            let there: Vec<_> = found.iter().map_while(|index| stat(index).ok()).collect();
            let inodes: HashSet<_> = there.iter().map(|meta| meta.inode()).collect();
            if there.len() == found.len() && inodes.len() == found.len() && found.len() > 1 {
                return false;
            }
        }
        if self.options.dry_run {
            return false;
        }
        if !self.before_write() {
            return true;
        }
        directory.touch();
        let name = self.names.unique();
        // What cannot be tried is taken for the worse.
        let Ok(_made) = dir.create_file(&name, MODE_PRIVATE_FILE) else {
            return true;
        };
        let folds = dir.stat(&name.to_ascii_uppercase()).is_ok();
        directory.leftovers.remove(dir, &name);
        folds
    }

    /// Reports an entry that the destination would not tell from another one.
    pub(super) fn collided(
        self: &Arc<Self>,
        directory: &Directory,
        entry: &Entry,
        parts: &mut Vec<Part>,
    ) {
        match entry.dir {
            Some(child) => self.register(child, Slot::Failed, parts),
            None => {
                self.counters.files_total.fetch_add(1, Relaxed);
            }
        }
        if entry.meta.kind == Kind::File {
            let size = entry.meta.size;
            self.counters.bytes_total.fetch_add(size, Relaxed);
            self.counters.bytes_unchanged.fetch_add(size, Relaxed);
        }
        self.failed(
            &directory.path_of(&entry.name),
            "another name in this directory differs only in the case of its letters, and the destination takes \
             both for one; nothing was written under it; rename one of them",
        );
    }

    /// Takes out of `extraneous` what the source lists under another spelling that the destination takes for
    /// the same. `present` are the names that the destination has, sorted.
    pub(super) fn keep_spelled_differently(
        &self,
        directory: &Directory,
        dir: &Dir,
        extraneous: &mut Vec<Listed>,
        listed: &[Box<[u8]>],
        present: &[Box<[u8]>],
    ) {
        if extraneous.is_empty() {
            return;
        }
        let spellings: HashMap<_, _> = listed.iter().map(|name| (fold(name), name)).collect();
        extraneous.retain(|Listed { name, .. }| {
            let same = spellings.get(&fold(name)).is_some_and(|wanted| {
                // It is not there under the source's spelling, and yet it is found.
                present.binary_search(wanted).is_err() && dir.stat(wanted).is_ok()
            });
            if same {
                self.note_kind(|| directory.path_of(name), "case");
            }
            !same
        });
    }
}
