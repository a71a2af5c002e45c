//! A directory of a tree as a chain of names below a root, with a handle while there are few enough.
//!
//! Invariant: a handle that was given up is opened again from the parent's handle, by one name, and must
//! be the same inode. So a directory that somebody swapped in is an error, never written to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::io::Errno;

use crate::entry::Inode;
use crate::fs::{Context, Dir, FsError};

/// Share of `RLIMIT_NOFILE` that directory handles of one tree may take: two trees, and the rest for
/// files, sockets and the standard streams.
const SHARE: u64 = 3;
/// More handles than this bring nothing: a walk needs those between the root and where it is.
const MOST: u64 = 4096;

/// Bounds the handles that the nodes of one tree keep open.
#[derive(Debug)]
pub struct HandlePool {
    capacity: usize,
    open: Mutex<VecDeque<Weak<Node>>>,
}

impl HandlePool {
    /// Makes a pool within the limit of open files of this process.
    pub fn new() -> Arc<Self> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let capacity = (limit.unwrap_or(MOST) / SHARE).clamp(16, MOST);
        Self::with_capacity(usize::try_from(capacity).unwrap_or(16))
    }

    /// Makes a pool of at most `capacity` handles.
    pub fn with_capacity(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            open: Mutex::default(),
        })
    }

    /// Counts the handle of `node` in and closes the oldest ones over the capacity.
    fn opened(&self, node: &Arc<Node>) {
        let mut evicted = Vec::new();
        {
            let mut open = lock(&self.open);
            open.push_back(Arc::downgrade(node));
            while open.len() > self.capacity {
                evicted.extend(open.pop_front().and_then(|oldest| oldest.upgrade()));
            }
        }
        for node in evicted {
            drop(lock(&node.handle).take());
        }
    }
}

/// One directory of a tree.
#[derive(Debug)]
pub struct Node {
    parent: Option<Arc<Self>>,
    name: Mutex<Box<[u8]>>,
    inode: Inode,
    handle: Mutex<Option<Arc<Dir>>>,
    root: Option<Arc<Dir>>,
    pool: Arc<HandlePool>,
}

impl Node {
    /// Makes the root of a tree; its handle stays open.
    pub fn root(dir: Dir, pool: Arc<HandlePool>) -> Result<Arc<Self>, Errno> {
        let inode = dir.stat_self()?.inode();
        Ok(Arc::new(Self {
            parent: None,
            name: Mutex::default(),
            inode,
            handle: Mutex::default(),
            root: Some(Arc::new(dir)),
            pool,
        }))
    }

    /// Makes a node of a directory that is known by name and inode, without opening it.
    pub fn child(parent: &Arc<Self>, name: &[u8], inode: Inode) -> Arc<Self> {
        Arc::new(Self {
            parent: Some(Arc::clone(parent)),
            name: Mutex::new(name.into()),
            inode,
            handle: Mutex::default(),
            root: None,
            pool: Arc::clone(&parent.pool),
        })
    }

    /// Identity of the directory.
    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// The directory that holds this one; `None` for the root.
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Returns the handle, opening the directory if it is not open.
    pub fn open(self: &Arc<Self>) -> Result<Arc<Dir>, FsError> {
        if let Some(root) = &self.root {
            return Ok(Arc::clone(root));
        }
        if let Some(dir) = &*lock(&self.handle) {
            return Ok(Arc::clone(dir));
        }
        let Some(parent) = &self.parent else {
            return Err(FsError::new("open directory", b"", Errno::BADF));
        };
        let parent = parent.open()?;
        let dir = {
            // Held so that a rename of the directory does not come between looking up and opening.
            let name = lock(&self.name);
            parent.open_dir(&name)
        }
        .context("open directory", || self.path())?;
        let found = dir
            .stat_self()
            .context("read directory", || self.path())?
            .inode();
        if found != self.inode {
            // Somebody else's directory has the name now: whatever we meant to do was not meant for it.
            return Err(FsError::new(
                "open replaced directory",
                &self.path(),
                Errno::STALE,
            ));
        }
        let dir = Arc::new(dir);
        *lock(&self.handle) = Some(Arc::clone(&dir));
        self.pool.opened(self);
        Ok(dir)
    }

    /// Gives the node a handle that is already open.
    pub fn keep_open(self: &Arc<Self>, dir: Dir) {
        *lock(&self.handle) = Some(Arc::new(dir));
        self.pool.opened(self);
    }

    /// Renames the directory with `rename`, which gets the old name, and remembers the new one if that worked.
    pub fn rename<E>(
        &self,
        to: &[u8],
        rename: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut name = lock(&self.name);
        rename(&name)?;
        *name = to.into();
        Ok(())
    }

    /// Name in the parent; empty for the root.
    pub fn name(&self) -> Box<[u8]> {
        lock(&self.name).clone()
    }

    /// Path from the root, for messages only; empty for the root.
    pub fn path(&self) -> Vec<u8> {
        match &self.parent {
            None => Vec::new(),
            Some(parent) => join(&parent.path(), &self.name()),
        }
    }
}

/// Joins a path and a name for messages.
pub fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        name.to_vec()
    } else {
        [path, b"/", name].concat()
    }
}

/// Locks a mutex; a thread that panicked while it held the lock has left a value that is still whole,
/// because nothing here is changed in two steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
