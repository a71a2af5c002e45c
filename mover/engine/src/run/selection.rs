//! Which entries a run deals with: what filters leave out, what they protect at the destination, and what is
//! passed over because of what is there.
//!
//! Invariant: what is left out is never listed as the source's, and never deleted unless that was asked for.

use std::sync::atomic::Ordering::Relaxed;

use super::Operation;
use super::directory::Directory;
use super::orchestrator::Run;
use super::planner::{FileTask, PartTicket};
use super::slots::Slot;
use super::source::Part;
use crate::entry::{Entry, Kind, Meta};
use crate::fs::Dir;
use crate::tree::node::join;

/// Which entries are passed over because of what the destination has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Existing {
    /// Nothing new is made.
    pub only: bool,
    /// Nothing that is there is changed, but what is in directories.
    pub ignore: bool,
    /// A file that is newer at the destination stays as it is.
    pub update: bool,
}

impl Existing {
    /// Returns true if an entry is passed over.
    pub fn passes_over(self, source: &Meta, existing: Option<&Meta>) -> bool {
        let Some(existing) = existing else {
            return self.only;
        };
        let directories = source.kind == Kind::Directory && existing.kind == Kind::Directory;
        let files = source.kind == Kind::File && existing.kind == Kind::File;
        (self.ignore && !directories) || (self.update && files && existing.mtime > source.mtime)
    }
}

impl Run {
    /// Finds the entries of a part that are left out, by their position; empty if there are no filters.
    pub(super) fn hide(
        &self,
        directory: &Directory,
        part: &Part,
        parts: &mut Vec<Part>,
    ) -> Vec<bool> {
        let filters = &self.options.filters;
        if filters.is_empty() {
            return Vec::new();
        }
        let base = directory.path();
        let is_directory = |entry: &Entry| entry.meta.kind == Kind::Directory;
        let entries = part.entries.iter();
        let hidden: Vec<bool> = entries
            .clone()
            .map(|entry| filters.excludes(&join(&base, &entry.name), is_directory(entry)))
            .collect();
        let excluded = entries.zip(&hidden).filter(|(_, hidden)| **hidden);
        for child in excluded.clone().filter_map(|(entry, _)| entry.dir) {
            self.listing.skip(child);
            self.register(child, Slot::Excluded, parts);
        }
        if self.options.operation == Operation::Mirror {
            directory.hide(excluded.map(|(entry, _)| entry.name.clone()));
        }
        hidden
    }

    /// What is below a directory that is left out is left out, whether it could be listed or not.
    pub(super) fn exclude_below(&self, part: &Part, parts: &mut Vec<Part>) {
        let _ticket = PartTicket::new(&self.listing, part.dir, part.part);
        for child in part.entries.iter().filter_map(|entry| entry.dir) {
            self.listing.skip(child);
            self.register(child, Slot::Excluded, parts);
        }
        if part.end.is_some() {
            self.forget(part.dir);
        }
    }

    /// Counts what is below a directory that is not to be made.
    pub(super) fn pass_over(&self, part: &Part, parts: &mut Vec<Part>) {
        let _ticket = PartTicket::new(&self.listing, part.dir, part.part);
        for entry in &part.entries {
            if entry.dir.is_none() {
                self.counters.files_total.fetch_add(1, Relaxed);
                if entry.meta.kind == Kind::File {
                    let bytes = &self.counters.bytes_total;
                    bytes.fetch_add(entry.meta.size, Relaxed);
                }
            }
            self.passed_over(entry, parts);
        }
        if part.end.is_some() {
            self.forget(part.dir);
        }
    }

    /// The entry stays as it is at the destination, or is not made.
    pub(super) fn passed_over(&self, entry: &Entry, parts: &mut Vec<Part>) {
        if let Some(child) = entry.dir {
            self.register(child, Slot::PassedOver, parts);
            return;
        }
        self.counters.files_unchanged.fetch_add(1, Relaxed);
        if entry.meta.kind == Kind::File {
            let bytes = &self.counters.bytes_unchanged;
            bytes.fetch_add(entry.meta.size, Relaxed);
        }
    }

    /// Returns true if what is left out is protected at the destination.
    pub(super) fn protects(&self) -> bool {
        !self.options.filters.is_empty() && !self.options.delete_excluded
    }

    /// Returns true if an entry of the destination is left out.
    pub(super) fn keeps(&self, dir: &Dir, name: &[u8], path: &[u8]) -> bool {
        let directory = dir
            .stat(name)
            .is_ok_and(|meta| meta.kind == Kind::Directory);
        self.options.filters.excludes(path, directory)
    }

    /// Returns true if what has the name of an entry is left out although the entry is not: one is a directory
    /// and the other is none.
    pub(super) fn is_protected(
        &self,
        directory: &Directory,
        entry: &Entry,
        existing: &Meta,
    ) -> bool {
        let is_directory = existing.kind == Kind::Directory;
        self.protects()
            && (entry.meta.kind == Kind::Directory) != is_directory
            && (self.options.filters).excludes(&directory.path_of(&entry.name), is_directory)
    }

    /// Reports an entry whose place is protected.
    pub(super) fn protected(&self, directory: &Directory, entry: &Entry, parts: &mut Vec<Part>) {
        if let Some(child) = entry.dir {
            self.register(child, Slot::Failed, parts);
        }
        if entry.meta.kind == Kind::File {
            let bytes = &self.counters.bytes_unchanged;
            bytes.fetch_add(entry.meta.size, Relaxed);
        }
        let message = "what has this name at the destination is of another kind and excluded, so it is protected; \
                       remove it, exclude the source's too, or use --delete-excluded";
        self.failed(&directory.path_of(&entry.name), message);
    }

    /// Reports an entry whose place is a directory that holds something protected.
    pub(super) fn holds_protected(self: &std::sync::Arc<Self>, task: &FileTask) {
        let message = "a directory has this name at the destination, and something in it is excluded and so protected; \
                       remove it, or use --delete-excluded";
        self.fail_task(task, message);
    }
}
