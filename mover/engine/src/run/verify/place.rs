//! A directory of the source and what the destination has in its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::entry::Meta;
use crate::tree::Node;
use crate::tree::node::{join, lock};

/// What the destination has in the place of a directory.
#[derive(Debug)]
pub(super) enum There {
    /// A directory.
    Directory(Arc<Node>),
    /// Nothing, or something else: all below is missing too.
    Missing,
    /// It could not be examined, and neither can anything below.
    Unreadable,
}

/// A directory that is compared.
#[derive(Debug)]
pub(super) struct Place {
    parent: Option<Arc<Self>>,
    name: Box<[u8]>,
    pub(super) there: There,
    failed: AtomicBool,
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    seen: Vec<u64>,
    parts: u32,
    total: Option<u32>,
    incomplete: Option<String>,
}

impl Place {
    pub(super) fn root(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self {
            parent: None,
            name: Box::default(),
            there: There::Directory(node),
            failed: AtomicBool::new(false),
            listed: Mutex::default(),
        })
    }

    pub(super) fn child(parent: &Arc<Self>, name: &[u8], there: There) -> Arc<Self> {
        Arc::new(Self {
            parent: Some(Arc::clone(parent)),
            name: name.into(),
            there,
            failed: AtomicBool::new(false),
            listed: Mutex::default(),
        })
    }

    /// Returns the node of a directory in this one.
    pub(super) fn node(&self, name: &[u8], meta: &Meta) -> Option<Arc<Node>> {
        match &self.there {
            There::Directory(node) => Some(Node::child(node, name, meta.inode())),
            There::Missing | There::Unreadable => None,
        }
    }

    /// Path from the root, for messages; empty for the root.
    pub(super) fn path(&self) -> Vec<u8> {
        match &self.parent {
            None => Vec::new(),
            Some(parent) => parent.path_of(&self.name),
        }
    }

    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path(), name)
    }

    /// Remembers that the directory cannot be read; returns true the first time.
    pub(super) fn fails_first(&self) -> bool {
        !self.failed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// A part with these names was compared. With the last one, returns the hashes of all names, sorted, and
    /// why they may not be all.
    pub(super) fn planned(
        &self,
        names: Vec<u64>,
        end: Option<(u32, Option<String>)>,
    ) -> Option<(Vec<u64>, Option<String>)> {
        let mut listed = lock(&self.listed);
        listed.seen.extend(names);
        listed.parts += 1;
        if let Some((total, incomplete)) = end {
            listed.total = Some(total);
            listed.incomplete = incomplete;
        }
        if listed.total != Some(listed.parts) {
            return None;
        }
        let mut seen = std::mem::take(&mut listed.seen);
        seen.sort_unstable();
        Some((seen, listed.incomplete.take()))
    }
}
