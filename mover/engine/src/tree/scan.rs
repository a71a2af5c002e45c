//! The streaming scan of a source tree on this host.
//!
//! There is no thread in here: whoever calls [`Listing::next`] reads a piece of a directory itself, so a
//! scan is as parallel as its callers. Directories are taken last in, first out; one that is half read goes before
//! all that are not begun, so that no more are open than there are callers.
//!
//! Invariant: an entry that could not be examined makes its directory's listing incomplete; it never just
//! misses, because what misses in a listing is what a mirror deletes. Nor does a listing end while there are
//! names that were read and not looked at.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::node::{HandlePool, Node, join, lock};
use super::source_file::{ReadStatus, SourceFile};
use crate::entry::{DirId, Entry, Escaped, Inode, Kind};
use crate::fs::pace::Pace;
use crate::fs::{Context, Dir, FsError, Names, xattr};
use crate::run::source::{End, Handles, Listing, Next, Part, SourceError};
use crate::run::state::{LOST_AND_FOUND, STATE_DIR};

/// Entries after which a part is handed out: enough to fill a message and small enough to start at once.
const PART_ENTRIES: usize = 1024;
/// Bytes of names, targets and attributes after which a part is handed out; a part of this size still
/// fits one message of 256 KiB.
const PART_BYTES: usize = 96 * 1024;

/// Number of the root directory of every ext file system (`EXT2_ROOT_INO` of `fs/ext2/ext2.h`).
const EXT_ROOT_INODE: u64 = 2;

/// How to scan.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// Read extended attributes of every entry: needed where they travel with the listing.
    pub xattrs: bool,
    /// Directories of other file systems are listed, but not what is in them.
    pub one_file_system: bool,
    /// A directory that must not be found below the root: the destination.
    pub forbidden: Option<Inode>,
    /// Of the root only this name is listed: the tree is one file.
    pub only: Option<Box<[u8]>>,
}

/// A source tree on this host.
#[derive(Debug)]
pub struct LocalSource {
    root: Arc<Node>,
    options: ScanOptions,
    state: Mutex<State>,
    pace: Pace,
}

#[derive(Debug, Default)]
struct State {
    /// Directories that are half read, and in nobody's hand.
    begun: Vec<Scan>,
    waiting: Vec<Scan>,
    /// Scans that some caller has in hand.
    active: usize,
    next_id: u64,
    /// Directories that nobody wants.
    skipped: HashSet<DirId>,
    nodes: HashMap<DirId, Known>,
}

#[derive(Debug)]
struct Known {
    node: Arc<Node>,
    /// Parts handed out and not yet done; the directory is forgotten when there are none and it has ended.
    parts: u32,
    ended: bool,
    keep: bool,
}

/// A directory that is being listed.
#[derive(Debug)]
struct Scan {
    id: DirId,
    node: Arc<Node>,
    /// What is left to read; `None` before it is begun.
    names: Option<Names>,
    part: u32,
    count: u64,
    failure: Option<String>,
    /// It is of another file system than the root.
    elsewhere: bool,
}

impl LocalSource {
    /// Opens the tree below `root`.
    pub fn open(root: &Path, options: ScanOptions) -> Result<Arc<Self>, FsError> {
        Self::from_dir(Dir::open_root(root)?, options)
    }

    /// Takes an open directory as the root.
    pub fn from_dir(root: Dir, options: ScanOptions) -> Result<Arc<Self>, FsError> {
        let root = Node::root(root, HandlePool::new()).context("read directory", Vec::new)?;
        let mut state = State {
            next_id: 1,
            ..State::default()
        };
        state.insert(DirId::ROOT, &root);
        state
            .waiting
            .push(Scan::new(DirId::ROOT, Arc::clone(&root)));
        Ok(Arc::new(Self {
            root,
            options,
            state: Mutex::new(state),
            pace: Pace::default(),
        }))
    }

    /// Returns how fast files of this tree are read.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Opens a listed file for reading.
    pub fn open_file(&self, dir: DirId, listed: &Entry) -> Result<SourceFile, ReadStatus> {
        let dir = self
            .directory(dir)
            .map_err(|error| ReadStatus::Failed(error.to_string()))?;
        SourceFile::open(&dir, listed)
    }

    /// Opens a listed file as [`SourceFile::open_unseen`] does.
    pub fn open_unseen(&self, dir: DirId, listed: &Entry) -> Option<SourceFile> {
        SourceFile::open_unseen(&*self.directory(dir).ok()?, listed)
    }

    /// Returns the handle of the root.
    pub fn root_dir(&self) -> Result<Arc<Dir>, FsError> {
        self.root.open()
    }

    /// Returns true if the root has an entry of the name under which runs keep their state: it is passed over.
    pub fn has_reserved_name(&self) -> bool {
        (self.root.open()).is_ok_and(|root| root.stat(STATE_DIR).is_ok())
    }

    /// Returns the path of a listed directory, for messages.
    pub fn path_of(&self, dir: DirId) -> Vec<u8> {
        let node = lock(&self.state)
            .nodes
            .get(&dir)
            .map(|known| Arc::clone(&known.node));
        node.map(|node| node.path()).unwrap_or_default()
    }

    /// Returns the next part. One that is not full is handed on when it is `due`, which is asked after each entry.
    fn next_until(&self, due: impl Fn() -> bool) -> Result<Next, SourceError> {
        let (mut scan, skip) = {
            let mut state = lock(&self.state);
            let next = state.begun.pop();
            match next.or_else(|| state.waiting.pop()) {
                Some(scan) => {
                    state.active += 1;
                    let skip = state.skipped.remove(&scan.id);
                    (scan, skip)
                }
                None if state.active > 0 => return Ok(Next::Pending),
                None => return Ok(Next::Finished),
            }
        };
        let scanned = match skip || (scan.elsewhere && self.options.one_file_system) {
            true => Ok((scan.nothing(), Vec::new())),
            false => self.scan(&mut scan, due),
        };
        let mut state = lock(&self.state);
        state.active -= 1;
        let (part, children) = scanned?;
        if let Some(known) = state.nodes.get_mut(&scan.id) {
            known.parts += 1;
            known.ended = part.end.is_some();
        }
        state.waiting.extend(children);
        // A directory is finished before its subdirectories are begun: what is above is known first, and
        // the guard, which waits for the whole top, does not wait for the whole tree.
        if part.end.is_none() {
            state.begun.push(scan);
        }
        Ok(Next::Part(part))
    }

    /// Reads one part and tells whether the directory has more.
    fn scan(
        &self,
        scan: &mut Scan,
        due: impl Fn() -> bool,
    ) -> Result<(Part, Vec<Scan>), SourceError> {
        let mut part = Part {
            dir: scan.id,
            part: scan.part,
            entries: Vec::new(),
            end: None,
        };
        let mut children = Vec::new();
        scan.part += 1;
        match self.read_part(scan, &mut part.entries, &mut children, due) {
            Ok(true) => part.end = Some(scan.end()),
            Ok(false) => {}
            Err(ScanError::Nested) => {
                return Err(SourceError::Nested(Escaped(&scan.node.path()).to_string()));
            }
            Err(ScanError::Unreadable(error)) => {
                if scan.id == DirId::ROOT && scan.count == 0 {
                    return Err(SourceError::Root(error.to_string()));
                }
                scan.failure.get_or_insert_with(|| error.to_string());
                part.end = Some(scan.end());
            }
        }
        Ok((part, children))
    }

    fn read_part(
        &self,
        scan: &mut Scan,
        entries: &mut Vec<Entry>,
        children: &mut Vec<Scan>,
        due: impl Fn() -> bool,
    ) -> Result<bool, ScanError> {
        let dir = scan.node.open()?;
        if scan.id != DirId::ROOT && Some(scan.node.inode()) == self.options.forbidden {
            return Err(ScanError::Nested);
        }
        let mut bytes = 0;
        let mut take = |scan: &mut Scan, name: &[u8]| {
            // What a run keeps about itself in a destination is not part of the tree.
            if scan.id == DirId::ROOT && name == STATE_DIR {
                return true;
            }
            match self.examine(&dir, name) {
                Ok(Some(entry)) if is_of_ext(scan, &entry) => {}
                Ok(Some(mut entry)) => {
                    bytes += entry.weight();
                    if entry.meta.kind == Kind::Directory {
                        children.push(self.child(&scan.node, &mut entry));
                    }
                    entries.push(entry);
                }
                // Gone since it was read from the directory.
                Ok(None) => {}
                Err(error) => {
                    let path = join(&scan.node.path(), name);
                    scan.failure.get_or_insert_with(|| {
                        FsError::new("read attributes of", &path, error).to_string()
                    });
                }
            }
            let full = entries.len() >= PART_ENTRIES || bytes >= PART_BYTES;
            // A part without entries would be no news.
            !(full || !entries.is_empty() && due())
        };
        let only = self.options.only.as_deref();
        if let Some(name) = only.filter(|_| scan.id == DirId::ROOT) {
            take(scan, name);
            scan.count += entries.len() as u64;
            return Ok(true);
        }
        let mut names = match scan.names.take() {
            Some(names) => names,
            None => Names::of(&dir).context("open directory", || scan.node.path())?,
        };
        let ended = loop {
            let name = names.next_name();
            match name.context("read directory", || scan.node.path())? {
                Some(name) if take(scan, name) => {}
                Some(_) => break false,
                None => break true,
            }
        };
        scan.count += entries.len() as u64;
        if !ended {
            scan.names = Some(names);
        }
        Ok(ended)
    }

    fn examine(&self, dir: &Dir, name: &[u8]) -> Result<Option<Entry>, Errno> {
        let meta = match dir.stat(name) {
            Ok(meta) => meta,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let target = match meta.kind {
            Kind::Symlink => match dir.read_link(name) {
                Ok(target) => Some(target),
                Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                Err(errno) => return Err(errno),
            },
            _ => None,
        };
        let xattrs = match self.options.xattrs {
            true => match xattr::of_name(dir, name) {
                Ok(xattrs) => Some(xattrs),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(errno),
            },
            false => None,
        };
        Ok(Some(Entry {
            name: name.into(),
            meta,
            target,
            dir: None,
            xattrs,
        }))
    }

    fn child(&self, parent: &Arc<Node>, entry: &mut Entry) -> Scan {
        let node = Node::child(parent, &entry.name, entry.meta.inode());
        let mut state = lock(&self.state);
        let id = DirId(state.next_id);
        state.next_id += 1;
        state.insert(id, &node);
        entry.dir = Some(id);
        let mut scan = Scan::new(id, node);
        scan.elsewhere = entry.meta.dev != self.root.inode().dev;
        scan
    }
}

/// Returns true for the directory that ext file systems have at their top: it is no part of the tree, and only
/// root may read it.
fn is_of_ext(scan: &Scan, entry: &Entry) -> bool {
    scan.id == DirId::ROOT
        && scan.node.inode().ino == EXT_ROOT_INODE
        && entry.meta.kind == Kind::Directory
        && *entry.name == *LOST_AND_FOUND
}

impl Listing for LocalSource {
    fn root(&self) -> Result<Entry, SourceError> {
        let failed = |error: &dyn std::fmt::Display| SourceError::Root(error.to_string());
        let dir = self.root.open().map_err(|e| failed(&e))?;
        let meta = dir.stat_self().map_err(|e| failed(&e))?;
        let xattrs = match self.options.xattrs {
            true => Some(xattr::of_fd(std::os::fd::AsFd::as_fd(&*dir)).map_err(|e| failed(&e))?),
            false => None,
        };
        Ok(Entry {
            name: Box::default(),
            meta,
            target: None,
            dir: Some(DirId::ROOT),
            xattrs,
        })
    }

    fn next(&self, wait: Duration) -> Result<Next, SourceError> {
        let began = Instant::now();
        self.next_until(|| began.elapsed() >= wait)
    }

    fn done(&self, dir: DirId, _part: u32, keep: bool) {
        let mut state = lock(&self.state);
        let Some(known) = state.nodes.get_mut(&dir) else {
            return;
        };
        known.parts = known.parts.saturating_sub(1);
        known.keep |= keep;
        if known.ended && known.parts == 0 && !known.keep {
            state.nodes.remove(&dir);
        }
    }

    fn skip(&self, dir: DirId) {
        lock(&self.state).skipped.insert(dir);
    }

    fn relist(&self, dir: DirId) -> Result<Vec<Box<[u8]>>, SourceError> {
        let failed = |error: &dyn std::fmt::Display| SourceError::Other(error.to_string());
        let mut names = Vec::new();
        let reader = self
            .directory(dir)
            .map_err(|e| failed(&e))?
            .reopen()
            .map_err(|e| failed(&e))?;
        reader
            .read_names(|name| {
                if dir != DirId::ROOT || name != STATE_DIR {
                    names.push(name.into());
                }
                true
            })
            .map_err(|e| failed(&e))?;
        Ok(names)
    }
}

impl Handles for LocalSource {
    fn directory(&self, dir: DirId) -> Result<Arc<Dir>, FsError> {
        let node = lock(&self.state)
            .nodes
            .get(&dir)
            .map(|known| Arc::clone(&known.node));
        match node {
            Some(node) => node.open(),
            None => Err(FsError::new("open unlisted directory", b"", Errno::NOENT)),
        }
    }
}

enum ScanError {
    Nested,
    Unreadable(FsError),
}

impl From<FsError> for ScanError {
    fn from(error: FsError) -> Self {
        Self::Unreadable(error)
    }
}

impl State {
    fn insert(&mut self, id: DirId, node: &Arc<Node>) {
        let known = Known {
            node: Arc::clone(node),
            parts: 0,
            ended: false,
            keep: false,
        };
        self.nodes.insert(id, known);
    }
}

impl Scan {
    fn new(id: DirId, node: Arc<Node>) -> Self {
        Self {
            id,
            node,
            names: None,
            part: 0,
            count: 0,
            failure: None,
            elsewhere: false,
        }
    }

    /// The part of a directory that is not read.
    fn nothing(&self) -> Part {
        Part {
            dir: self.id,
            part: self.part,
            entries: Vec::new(),
            end: Some(match self.elsewhere {
                true => End::NotEntered,
                false => End::Complete { count: 0 },
            }),
        }
    }

    fn end(&self) -> End {
        match &self.failure {
            Some(reason) => End::Incomplete {
                reason: reason.clone(),
            },
            None => End::Complete { count: self.count },
        }
    }
}

#[cfg(test)]
mod tests;
