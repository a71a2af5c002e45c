//! Destinations that take names for one which the source tells apart: nothing is written under such a name, and
//! nothing is deleted that is only spelled differently.
//!
//! Nobody is asked whether the destination folds case unless the source has such names: then what is in the
//! directory that it is about is looked at, and where that says nothing a name is made in it. A dry run makes none, and
//! looks around instead. A directory without rivals costs nothing but the comparison of hashes.
//!
//! Of a directory that is listed in several parts the first rival would be written before the second is listed. So
//! where such a directory may fold case, the names of a source on this host are read before any part is planned: eight
//! bytes for each, until they are compared. A source on another host cannot be asked, and of two rivals in different
//! parts the first is written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::directory::Directory;
use super::orchestrator::Run;
use super::planner::Sides;
use super::slots::Slot;
use super::source::Part;
use super::state::STATE_DIR;
use crate::activity::{self, Activity};
use crate::apply::remove::Listed;
use crate::entry::{Entry, Kind};
use crate::fs::dir::MODE_PRIVATE_FILE;
use crate::fs::{Dir, folding};
use crate::plan::rivals::{fold, members, repeated, rivals};

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
            // Two threads may have parts of it in hand: the second waits for what the first finds.
            let ahead =
                (directory.rivals_ahead).get_or_init(|| self.rivals_ahead(directory, sides));
            found.extend(members(&folded, ahead));
            found.extend(directory.claim_folded(&folded));
        }
        if !found.is_empty() && !self.folds_case(directory, sides) {
            found.clear();
        }
        found
    }

    /// Reads the names of the source's directory, if the destination may take some for one; returns what rivals share.
    fn rivals_ahead(&self, directory: &Directory, sides: &Sides) -> HashSet<u64> {
        let Some(source) = sides.source.as_ref() else {
            return HashSet::new();
        };
        if !self.may_fold(directory, sides) {
            return HashSet::new();
        }
        let _scanning = activity::during(Activity::Scan);
        let at_root = directory.parent.is_none();
        let mut folded = Vec::new();
        // What cannot be read here cannot be listed either, and that is told.
        let _ = source.reopen().and_then(|dir| {
            dir.read_names(|name| {
                if !(at_root && name == STATE_DIR) {
                    folded.push(self.hasher.hash(&fold(name)));
                }
                !self.must_end()
            })
        });
        repeated(folded)
    }

    /// Returns false if a directory of the destination surely tells spellings of a name apart. Writes only where
    /// something is to be written anyway.
    fn may_fold(&self, directory: &Directory, sides: &Sides) -> bool {
        let dir = &sides.destination;
        let foreseen = folding::foreseen(dir);
        foreseen.unwrap_or_else(|| match self.options.dry_run || folding::is_empty(dir) {
            true => self.folds_case(directory, sides),
            false => true,
        })
    }

    /// Tells whether a directory of the destination takes spellings of a name for one.
    fn folds_case(&self, directory: &Directory, sides: &Sides) -> bool {
        let folds = &directory.folds_case;
        *folds.get_or_init(|| self.finds_folding(directory, &sides.destination))
    }

    fn finds_folding(&self, directory: &Directory, dir: &Dir) -> bool {
        if self.options.dry_run {
            return folding::foreseen(dir).unwrap_or(false);
        }
        // Nothing is in a new one.
        if !directory.is_private()
            && let Some(folds) = folding::seen(dir)
        {
            return folds;
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
