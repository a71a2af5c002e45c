//! What a run made in a directory and could not remove again: half of a file, or something under a temporary name.
//!
//! Whoever removes a name of ours does it through here, so that a failure is known when the directory is done: it is told then,
//! and the state of the run stays, by which the next run knows that what is left is ours.

use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use crate::fs::Dir;
use crate::tree::node::lock;

/// Why something was left in one directory; shared by all who make something in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers(Arc<Mutex<Option<Errno>>>);

impl Leftovers {
    /// Removes what is not a directory. A directory of this name is the user's: something of ours was exchanged for it.
    pub(crate) fn remove(&self, dir: &Dir, name: &[u8]) {
        match dir.unlink(name) {
            Err(Errno::ISDIR) => {}
            removed => self.judge(removed),
        }
    }

    /// Removes an empty directory.
    pub(crate) fn remove_dir(&self, dir: &Dir, name: &[u8]) {
        self.judge(dir.rmdir(name));
    }

    fn judge(&self, removed: Result<(), Errno>) {
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => self.note(errno),
        }
    }

    /// Something is left; the first reason is kept.
    pub(crate) fn note(&self, errno: Errno) {
        lock(&self.0).get_or_insert(errno);
    }

    /// Returns why something was left since this was asked last.
    pub(crate) fn take(&self) -> Option<Errno> {
        lock(&self.0).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_leaves_nothing_and_what_stays_is_told_once_with_the_first_reason() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(place.path()).unwrap();
        let leftovers = Leftovers::default();
        std::fs::write(place.path().join("file"), "").unwrap();
        std::fs::create_dir_all(place.path().join("full/below")).unwrap();
        leftovers.remove(&dir, b"file");
        leftovers.remove(&dir, b"file");
        leftovers.remove_dir(&dir, b"never there");
        leftovers.remove(&dir, b"full");
        assert_eq!(leftovers.take(), None);
        let shared = leftovers.clone();
        shared.remove_dir(&dir, b"full");
        shared.note(Errno::IO);
        assert_eq!(leftovers.take(), Some(Errno::NOTEMPTY));
        assert_eq!(leftovers.take(), None);
    }
}
