//! A directory of the destination while it is worked on: what is still to come in it and below it.
//!
//! Two counts decide when something happens. `own` counts the listing and the files of the directory
//! itself; at zero a new directory gets its final name. `below` counts `own` and the subdirectories; at
//! zero mode and times are set. Both can rise again when deletions bring late work.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::DestinationRoot;
use crate::apply::file::Birth;
use crate::apply::folders::Folders;
use crate::apply::leftovers::Leftovers;
use crate::entry::{DirId, Entry};
use crate::plan::itemize::Item;
use crate::plan::rivals::members;
use crate::tree::Node;
use crate::tree::node::{join, lock};

/// How a directory came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was there.
    Existing,
    /// This run made it under a temporary name: nothing is in it but what this run puts there.
    New,
    /// A killed run had made it; it lies under a temporary name of this run.
    Adopted,
}

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) node: Arc<Node>,
    pub(crate) source: DirId,
    /// The source's directory, with its extended attributes.
    pub(crate) entry: Entry,
    pub(crate) parent: Option<Arc<Self>>,
    pub(crate) origin: Origin,
    /// What had its name was not a directory, and is swapped out when this one is published.
    pub(crate) displaces: bool,
    /// Names were changed in it, so that its times must be set again.
    pub(crate) touched: AtomicBool,
    /// In what it differs from the source's, if it does.
    pub(crate) item: Option<Item>,
    /// That it was changed has been counted; deletions finish it a second time.
    pub(crate) counted: AtomicBool,
    /// Its content is not part of the tree.
    pub(crate) not_entered: AtomicBool,
    /// It has its final name.
    pub(crate) published: AtomicBool,
    /// It was found to hand an ACL down to what is made in it.
    pub(crate) default_acl: OnceLock<bool>,
    /// What files have that are made in it, while nobody else uses it.
    pub(crate) birth: Birth,
    /// Where its files are made, if it is wide.
    pub(crate) folders: Folders,
    /// What was made in it and could not be removed.
    pub(crate) leftovers: Leftovers,
    /// It takes spellings of a name for one.
    pub(crate) folds_case: OnceLock<bool>,
    /// What names of the source that it takes for one share, where they come in several parts.
    pub(crate) rivals_ahead: OnceLock<HashSet<u64>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    own: u64,
    below: u64,
    seen: Vec<u64>,
    /// Hashes of the names that were listed so far, folded, where they come in several parts.
    folded: HashSet<u64>,
    parts_done: u32,
    parts_total: Option<u32>,
    incomplete: Option<String>,
    hidden: Vec<Box<[u8]>>,
}

impl Directory {
    pub(crate) fn new(
        node: Arc<Node>,
        source: DirId,
        entry: Entry,
        parent: Option<&Arc<Self>>,
        origin: Origin,
        displaces: bool,
        item: Option<Item>,
    ) -> Arc<Self> {
        Arc::new(Self {
            node,
            source,
            entry,
            parent: parent.map(Arc::clone),
            origin,
            displaces,
            touched: AtomicBool::new(origin != Origin::Existing),
            item,
            counted: AtomicBool::new(false),
            not_entered: AtomicBool::new(false),
            published: AtomicBool::new(origin == Origin::Existing),
            default_acl: OnceLock::new(),
            birth: Birth::default(),
            folders: Folders::default(),
            leftovers: Leftovers::default(),
            folds_case: OnceLock::new(),
            rivals_ahead: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// It was found with attributes that differ from the source's, or made.
    pub(crate) fn differs(&self) -> bool {
        self.item.is_some()
    }

    /// Path from the root under final names, for messages; empty for the root.
    pub(crate) fn path(&self) -> Vec<u8> {
        match &self.parent {
            None => Vec::new(),
            Some(parent) => parent.path_of(&self.entry.name),
        }
    }

    /// Path of an entry, for messages.
    pub(crate) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path(), name)
    }

    pub(crate) fn touch(&self) {
        self.touched.store(true, Ordering::Relaxed);
    }

    /// Files can be made in it under their final names: nobody can see them before it is published, and
    /// nothing can be in the way.
    pub(crate) fn is_private(&self) -> bool {
        self.origin == Origin::New
    }

    /// Its listing is known to have more than one part.
    pub(crate) fn is_wide(&self) -> bool {
        let state = lock(&self.state);
        match state.parts_total {
            Some(total) => total > 1,
            None => state.parts_done > 0,
        }
    }

    /// It is private and has no final name yet: what is made in it can be looked at before anybody else sees it.
    pub(crate) fn is_unseen(&self) -> bool {
        self.is_private() && !self.published.load(Ordering::Relaxed)
    }

    /// It is the root, and did not exist before this run.
    pub(crate) fn is_new_root(&self, root: DestinationRoot) -> bool {
        self.parent.is_none() && root != DestinationRoot::Exists
    }

    /// Counts one more thing of its own.
    pub(crate) fn hold(&self) {
        let first = {
            let mut state = lock(&self.state);
            state.own += 1;
            state.own == 1
        };
        if first {
            self.hold_below();
        }
    }

    fn hold_below(&self) {
        let first = {
            let mut state = lock(&self.state);
            state.below += 1;
            state.below == 1
        };
        if let (true, Some(parent)) = (first, &self.parent) {
            parent.hold_below();
        }
    }

    /// One thing of its own is done. When `own` is reached, the caller publishes and then calls
    /// [`Self::release_below`].
    pub(crate) fn release(&self) -> bool {
        let mut state = lock(&self.state);
        state.own -= 1;
        state.own == 0
    }

    /// A subdirectory, or all of its own, is done; returns true if everything is.
    pub(crate) fn release_below(&self) -> bool {
        let mut state = lock(&self.state);
        state.below -= 1;
        state.below == 0
    }

    /// Notes names by the hashes of their folded forms; returns the positions of those that an earlier part had.
    pub(crate) fn claim_folded(&self, folded: &[u64]) -> Vec<usize> {
        let mut state = lock(&self.state);
        let rivals = members(folded, &state.folded).collect();
        state.folded.extend(folded);
        rivals
    }

    /// A part was planned that listed these names. Returns true if it was the last one.
    pub(crate) fn part_planned(
        &self,
        names: impl IntoIterator<Item = u64>,
        end: Option<(u32, Option<String>)>,
    ) -> bool {
        let mut state = lock(&self.state);
        state.seen.extend(names);
        state.parts_done += 1;
        if let Some((total, incomplete)) = end {
            state.parts_total = Some(total);
            state.incomplete = incomplete;
        }
        state.parts_total == Some(state.parts_done)
    }

    /// The source has these names, but they are left out.
    pub(crate) fn hide(&self, names: impl Iterator<Item = Box<[u8]>>) {
        lock(&self.state).hidden.extend(names);
    }

    /// Takes the names that the source has and that are left out, sorted.
    pub(crate) fn take_hidden(&self) -> Vec<Box<[u8]>> {
        let mut hidden = std::mem::take(&mut lock(&self.state).hidden);
        hidden.sort_unstable();
        hidden
    }

    /// Takes the hashes of the names that the source has, sorted, and why they may not be all.
    pub(crate) fn take_seen(&self) -> (Vec<u64>, Option<String>) {
        let mut state = lock(&self.state);
        let mut seen = std::mem::take(&mut state.seen);
        state.folded = HashSet::new();
        seen.sort_unstable();
        (seen, state.incomplete.clone())
    }
}
