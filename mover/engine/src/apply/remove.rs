//! Removing entries with all that is below them, and counting what that would be.
//!
//! Works on handles, one name at a time, and never leaves the mount that it began on. The path of what is looked at
//! is one buffer that grows and shrinks on the way, so that memory is linear in the depth of a tree, however long
//! its names are.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::entry::{Kind, Meta};
use crate::fs::Dir;

/// Deepest nesting that is followed: each level holds a handle and a stack frame.
const DEPTH_MAX: usize = 4096;
/// Levels on one stack; what is deeper goes on with another thread. A level takes about a kilobyte in a build without
/// optimisation, and threads of callers have as little as a megabyte.
const LEVELS: usize = 256;
/// Stack of such a thread.
const STACK: usize = 1024 * 1024;

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: Box<[u8]>,
    /// The listing said that it is no directory. It can have become one since, so this is good for counting, where it
    /// saves a look at each entry, and for nothing else.
    pub(crate) leaf: bool,
}

impl Listed {
    pub(crate) fn new(name: &[u8], kind: FileType) -> Self {
        let leaf = !matches!(kind, FileType::Directory | FileType::Unknown);
        Self {
            name: name.into(),
            leaf,
        }
    }
}

/// How many removals are left of those that were approved; shared by threads.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    /// Sets what is left.
    pub(crate) fn approve(&self, removals: u64) {
        self.0.store(removals, Relaxed);
    }

    /// Takes one. Returns false if none is left.
    pub(crate) fn reserve(&self) -> bool {
        let left = |left: u64| left.checked_sub(1);
        self.0.fetch_update(Relaxed, Relaxed, left).is_ok()
    }

    /// Gives one back.
    pub(crate) fn give_back(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Decides about each removal and is told of it.
pub(crate) trait Removal: Sync {
    /// Returns false to leave everything as it is from here on.
    fn allow(&self) -> bool;
    /// Takes one removal from what may be removed, right before it is tried. Returns false if none is left.
    fn reserve(&self) -> bool {
        true
    }
    /// Gives one back that was not made.
    fn give_back(&self) {}
    /// An entry was removed: a directory, or what is called a file here whatever else it was.
    fn removed(&self, path: &[u8], kind: Kind);
    /// An entry could not be removed.
    fn failed(&self, path: &[u8], errno: Errno);
    /// A directory is kept because something else is mounted in it.
    fn mounted(&self, path: &[u8]);
    /// Returns true if the entry is protected, and with it all below.
    fn keeps(&self, _dir: &Dir, _name: &[u8], _path: &[u8]) -> bool {
        false
    }
    /// In a survey: an entry that is not a directory would go.
    fn would_go(&self, _meta: &Meta) {}
    /// Returns true if the directory is the source itself, which another mount shows below the destination;
    /// it is kept.
    fn is_source(&self, path: &[u8], dir: &Dir) -> bool;
}

/// Removes an entry of any kind. Returns true if it is gone.
pub(crate) fn remove(dir: &Dir, name: &[u8], path: &[u8], removal: &dyn Removal) -> bool {
    let mount = dir.mount_id().unwrap_or(0);
    remove_below(dir, name, &mut path.to_vec(), mount, removal, 0)
}

fn remove_below(
    dir: &Dir,
    name: &[u8],
    path: &mut Vec<u8>,
    mount: u64,
    removal: &dyn Removal,
    depth: usize,
) -> bool {
    if !removal.allow() || removal.keeps(dir, name, path) {
        return false;
    }
    let mut kind = Kind::File;
    let gone = match attempt(removal, || dir.unlink(name)) {
        Err(Errno::ISDIR | Errno::PERM) => {
            kind = Kind::Directory;
            remove_directory(dir, name, path, mount, removal, depth)
        }
        other => other,
    };
    match gone {
        Ok(true) => {
            removal.removed(path, kind);
            true
        }
        Ok(false) => false,
        Err(Errno::NOENT) => true,
        Err(errno) => {
            removal.failed(path, errno);
            false
        }
    }
}

fn remove_directory(
    parent: &Dir,
    name: &[u8],
    path: &mut Vec<u8>,
    mount: u64,
    removal: &dyn Removal,
    depth: usize,
) -> Result<bool, Errno> {
    if depth > DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let dir = match parent.open_dir(name) {
        // Ours, but without permission for us: nothing in it needs protection from its removal.
        Err(Errno::ACCESS) => {
            crate::fs::pin::Pin::name(parent, name)?.chmod(0o700)?;
            parent.open_dir(name)?
        }
        other => other?,
    };
    if dir.mount_id().unwrap_or(0) != mount {
        removal.mounted(path);
        return Ok(false);
    }
    if removal.is_source(path, &dir) {
        return Ok(false);
    }
    let names = names(&dir)?;
    let mut empty = true;
    let mut writable = false;
    for child in names {
        if !writable && dir.stat_self()?.mode & 0o300 != 0o300 {
            // Fails for others' directories, and then the removal says why.
            let _ = crate::fs::pin::Pin::name(parent, name).and_then(|pin| pin.chmod(0o700));
        }
        writable = true;
        empty &= below(path, &child, depth, |path| {
            remove_below(&dir, &child, path, mount, removal, depth + 1)
        });
    }
    if !empty || !removal.allow() {
        return Ok(false);
    }
    attempt(removal, || parent.rmdir(name))
}

/// Makes one removal, if one is left. Taken before and not counted after it, so that several threads together
/// never remove one too many.
fn attempt(
    removal: &dyn Removal,
    remove: impl FnOnce() -> Result<(), Errno>,
) -> Result<bool, Errno> {
    if !removal.reserve() {
        return Ok(false);
    }
    let removed = remove();
    if removed.is_err() {
        removal.give_back();
    }
    removed.map(|()| true)
}

/// Tells `removal` what [`remove`] would do, in the same order, and does nothing. Returns true if the entry
/// would be gone.
pub(crate) fn survey(dir: &Dir, name: &[u8], path: &[u8], removal: &dyn Removal) -> bool {
    let mount = dir.mount_id().unwrap_or(0);
    survey_below(dir, name, &mut path.to_vec(), mount, removal, 0)
}

fn survey_below(
    dir: &Dir,
    name: &[u8],
    path: &mut Vec<u8>,
    mount: u64,
    removal: &dyn Removal,
    depth: usize,
) -> bool {
    if !removal.allow() || removal.keeps(dir, name, path) {
        return false;
    }
    let meta = match dir.stat(name) {
        Ok(meta) => meta,
        Err(Errno::NOENT) => return true,
        Err(errno) => {
            removal.failed(path, errno);
            return false;
        }
    };
    let kind = meta.kind;
    let gone = kind != Kind::Directory
        || match survey_directory(dir, name, path, mount, removal, depth) {
            Ok(gone) => gone,
            Err(errno) => {
                removal.failed(path, errno);
                return false;
            }
        };
    if !gone || !removal.reserve() {
        return false;
    }
    if kind != Kind::Directory {
        removal.would_go(&meta);
    }
    removal.removed(path, kind);
    true
}

fn survey_directory(
    parent: &Dir,
    name: &[u8],
    path: &mut Vec<u8>,
    mount: u64,
    removal: &dyn Removal,
    depth: usize,
) -> Result<bool, Errno> {
    if depth > DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let dir = parent.open_dir(name)?;
    if dir.mount_id().unwrap_or(0) != mount {
        removal.mounted(path);
        return Ok(false);
    }
    if removal.is_source(path, &dir) {
        return Ok(false);
    }
    let mut empty = true;
    for child in names(&dir)? {
        empty &= below(path, &child, depth, |path| {
            survey_below(&dir, &child, path, mount, removal, depth + 1)
        });
    }
    Ok(empty)
}

/// What a removal would come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Entries that would go.
    pub(crate) entries: u64,
    /// Something is protected, and so what holds it stays too.
    pub(crate) keeps: bool,
}

/// Counts an entry and everything below it, on its mount, without what `removal` keeps.
pub(crate) fn count(dir: &Dir, listed: &Listed, path: &[u8], removal: &dyn Removal) -> Count {
    let mount = dir.mount_id().unwrap_or(0);
    count_below(dir, listed, &mut path.to_vec(), mount, removal, 0)
}

fn count_below(
    parent: &Dir,
    listed: &Listed,
    path: &mut Vec<u8>,
    mount: u64,
    removal: &dyn Removal,
    depth: usize,
) -> Count {
    let mut count = Count::default();
    if removal.keeps(parent, &listed.name, path) {
        count.keeps = true;
        return count;
    }
    if !listed.leaf
        && let Ok(dir) = parent.open_dir(&listed.name)
        && depth <= DEPTH_MAX
        && dir.mount_id().unwrap_or(0) == mount
    {
        for child in listing(&dir).unwrap_or_default() {
            let below = below(path, &child.name, depth, |path| {
                count_below(&dir, &child, path, mount, removal, depth + 1)
            });
            count.entries += below.entries;
            count.keeps |= below.keeps;
        }
    }
    count.entries += u64::from(!count.keeps);
    count
}

/// Goes one level down to a name, with its path.
fn below<T: Send>(
    path: &mut Vec<u8>,
    name: &[u8],
    depth: usize,
    mut go: impl FnMut(&mut Vec<u8>) -> T + Send,
) -> T {
    let length = path.len();
    if length > 0 {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    let came = deeper(depth, || go(path));
    path.truncate(length);
    came
}

/// Does something one level down, on a new stack where this one has had its share: a tree as deep as somebody likes
/// to make it must not end the process.
fn deeper<T: Send>(depth: usize, mut go: impl FnMut() -> T + Send) -> T {
    if depth % LEVELS != LEVELS - 1 {
        return go();
    }
    let done = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let thread = builder.spawn_scoped(scope, &mut go).ok()?;
        let joined = thread.join();
        Some(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // Most trees are not that deep, and most stacks not that small.
    done.unwrap_or_else(go)
}

/// Returns all names in a directory.
pub(crate) fn names(dir: &Dir) -> Result<Vec<Box<[u8]>>, Errno> {
    let listed = listing(dir)?;
    Ok(listed.into_iter().map(|listed| listed.name).collect())
}

fn listing(dir: &Dir) -> Result<Vec<Listed>, Errno> {
    let mut listed = Vec::new();
    dir.reopen()?.read_entries(|name, kind| {
        listed.push(Listed::new(name, kind));
        true
    })?;
    Ok(listed)
}

#[cfg(test)]
mod tests;
