//! Everything the kernel keeps about a tree, to show that a run touched nothing.
//!
//! Inode numbers, ctimes and directory times are included: even a file that was made and removed again
//! shows. Only
//! atime and allocated blocks are not: reading changes the one, writeback the other.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::walk::{Directory, join};
use crate::xattr::{self, Xattrs};

/// A tree at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<Vec<u8>, State>);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    inode: (u64, u64),
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    device: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    target: Option<Vec<u8>>,
    xattrs: Xattrs,
}

impl Snapshot {
    /// Looks at every entry, the root included.
    pub fn of(root: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut at = Vec::new();
        let looked = (|| {
            let directory = Directory::open(root)?;
            entries.insert(Vec::new(), State::of(&directory.path())?);
            add(&mut entries, &directory, &mut at)
        })();
        looked.map_err(|source| Error::Path {
            action: "look at",
            path: format!("{} of {}", at.escape_ascii(), root.display()),
            source,
        })?;
        Ok(Self(entries))
    }

    /// Returns the number of entries, the root included.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns what is different in a later snapshot, as lines to read.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let gone = self.0.keys().filter(|path| !later.0.contains_key(*path));
        let gone = gone.map(|path| format!("{}: gone", shown(path)));
        let changed = later
            .0
            .iter()
            .filter_map(|(path, state)| match self.0.get(path) {
                None => Some(format!("{}: new", shown(path))),
                Some(before) if before == state => None,
                Some(before) => Some(format!("{}: {before:?} became {state:?}", shown(path))),
            });
        gone.chain(changed).collect()
    }

    /// Panics with the first changes unless the later snapshot is the same.
    #[track_caller]
    pub fn assert_untouched(&self, later: &Self) {
        let changes = self.changes(later);
        assert!(
            changes.is_empty(),
            "{} entries were touched:\n{}",
            changes.len(),
            changes[..changes.len().min(20)].join("\n")
        );
    }
}

impl State {
    fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        let target = found
            .file_type()
            .is_symlink()
            .then(|| std::fs::read_link(path))
            .transpose()?;
        Ok(Self {
            inode: (found.dev(), found.ino()),
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
            links: found.nlink(),
            size: found.size(),
            device: found.rdev(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
            target: target.map(|target| target.into_os_string().into_vec()),
            xattrs: xattr::read(path)?,
        })
    }
}

fn add(
    entries: &mut BTreeMap<Vec<u8>, State>,
    directory: &Directory,
    at: &mut Vec<u8>,
) -> io::Result<()> {
    for name in directory.names()? {
        let parent = std::mem::take(at);
        *at = join(&parent, &name);
        let state = State::of(&directory.at(&name))?;
        let is_directory = state.mode & nix::libc::S_IFMT == nix::libc::S_IFDIR;
        entries.insert(at.clone(), state);
        if is_directory {
            add(entries, &directory.open_below(&name)?, at)?;
        }
        *at = parent;
    }
    Ok(())
}

fn shown(path: &[u8]) -> String {
    if path.is_empty() {
        ".".into()
    } else {
        path.escape_ascii().to_string()
    }
}

#[cfg(test)]
mod tests;
