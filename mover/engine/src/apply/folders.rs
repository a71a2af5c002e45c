//! Folders in a large directory in which its files are made, one for each thread that makes some.
//!
//! xfs takes the inodes of a directory's files from one allocation group, and two threads that make files there wait for each
//! other; another directory, even in it, has a group of its own. 100,000 small files in one directory, made by two threads, took
//! 3.5 to 4.8 s without a name, 2.9 to 3.5 s under temporary names, and 2.0 s in folders (one thread: 4.0, 4.4 and 3.8 s). On ext4
//! it is 2.1 s where files without a name take 2.0 s.
//!
//! A folder lies in the directory itself, so that files inherit what they would inherit there, and are on the same file system.
//! It is private and has a temporary name of the run, and goes before the directory is finished; what a killed run left is removed
//! as everything under such a name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

use rustix::fs::FsWord;

use super::leftovers::Leftovers;
use crate::fs::Dir;
use crate::fs::dir::MODE_PRIVATE_DIR;
use crate::plan::names::TempNames;
use crate::tree::node::lock;

/// `XFS_SUPER_MAGIC` of `linux/magic.h`.
const XFS: FsWord = 0x5846_5342;

/// The folders of one directory.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// They are known to be faster where the directory is, and can be removed from it.
    suit: OnceLock<bool>,
    /// One turned out to be of no use.
    useless: AtomicBool,
    made: Mutex<Vec<Folder>>,
}

#[derive(Debug)]
struct Folder {
    user: ThreadId,
    name: Vec<u8>,
    /// `None` if it could not be opened after it was made.
    dir: Option<Arc<Dir>>,
}

impl Folders {
    /// Returns this thread's folder in `dir`, and makes it if there is none. `None` where files are made otherwise.
    pub(crate) fn own(&self, dir: &Dir, names: &TempNames) -> Option<Arc<Dir>> {
        let is_xfs = || rustix::fs::fstatfs(dir).is_ok_and(|found| found.f_type == XFS);
        // What only names can be added to would keep them.
        let suit = || is_xfs() && !dir.is_append_only();
        let suit = *self.suit.get_or_init(suit) && !self.useless.load(Ordering::Relaxed);
        suit.then(|| self.find_or_make(dir, names))?
    }

    fn find_or_make(&self, dir: &Dir, names: &TempNames) -> Option<Arc<Dir>> {
        let user = thread::current().id();
        let mut made = lock(&self.made);
        if let Some(folder) = made.iter().find(|folder| folder.user == user) {
            return folder.dir.clone();
        }
        let name = names.unique();
        dir.mkdir(&name, MODE_PRIVATE_DIR).ok()?;
        let opened = dir.open_dir(&name).ok().map(Arc::new);
        made.push(Folder {
            user,
            name,
            dir: opened.clone(),
        });
        opened
    }

    /// Files cannot be made in them though they could be made themselves: what a folder inherits may forbid just that.
    pub(crate) fn give_up(&self) {
        self.useless.store(true, Ordering::Relaxed);
    }

    /// Removes the folders, all of whose files have their names or are gone.
    pub(crate) fn remove(&self, dir: &Dir, leftovers: &Leftovers) {
        let made = std::mem::take(&mut *lock(&self.made));
        for folder in &made {
            leftovers.remove_dir(dir, &folder.name);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.made).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn one_folder_that_cannot_be_removed_keeps_no_other_one() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(place.path()).unwrap();
        let (folders, names) = (Folders::default(), TempNames::new("abcdefghijkl"));
        thread::scope(|scope| {
            for _ in 0..3 {
                let made = scope.spawn(|| folders.find_or_make(&dir, &names));
                assert!(made.join().unwrap().is_some());
            }
        });
        let kept = lock(&folders.made)[0].name.clone();
        let kept = place.path().join(String::from_utf8(kept).unwrap());
        std::fs::write(kept.join("file"), "").unwrap();
        let leftovers = Leftovers::default();
        folders.remove(&dir, &leftovers);
        assert_eq!(leftovers.take(), Some(Errno::NOTEMPTY));
        let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(kept.exists());
    }
}
