//! What a tree holds, kept up to date while it is changed.

use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::seed::Random;

/// A directory with more below is neither removed, replaced nor moved: a few such changes would leave
/// nothing of a large tree.
const LARGEST_SUBTREE: usize = 40;

/// The kinds of entries that changes tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    File,
    Directory,
    Symlink,
    Other,
}

/// All entries below a root.
pub(super) struct Index {
    pub(super) root: PathBuf,
    entries: Vec<(PathBuf, Sort)>,
    names: u64,
}

impl Index {
    pub(super) fn of(root: &Path) -> Result<Self> {
        let mut index = Self {
            root: root.into(),
            entries: Vec::new(),
            names: 0,
        };
        index.add_below(root).context("list", root)?;
        // The order of a directory differs between file systems; the choices must not.
        index.entries.sort();
        Ok(index)
    }

    /// Returns an entry of this sort; for directories one without much below.
    pub(super) fn pick(&self, sort: Sort, random: &mut Random) -> Option<PathBuf> {
        self.pick_if(random, |path, found| {
            found == sort && (sort != Sort::Directory || self.is_small(path))
        })
    }

    /// Returns an entry of any sort; if a directory one without much below.
    pub(super) fn pick_any(&self, random: &mut Random) -> Option<PathBuf> {
        self.pick_if(random, |path, sort| {
            sort != Sort::Directory || self.is_small(path)
        })
    }

    /// Returns a directory of any size, the root included.
    pub(super) fn pick_place(&self, random: &mut Random) -> PathBuf {
        let found = self.pick_if(random, |_, sort| sort == Sort::Directory);
        found
            .filter(|_| random.below(10) > 0)
            .unwrap_or_else(|| self.root.clone())
    }

    /// Returns an entry that satisfies the condition, if a fair number of attempts meets one.
    pub(super) fn pick_if(
        &self,
        random: &mut Random,
        condition: impl Fn(&Path, Sort) -> bool,
    ) -> Option<PathBuf> {
        let mut attempts = (0..200).filter_map(|_| random.pick(&self.entries));
        let found = attempts.find(|(path, sort)| condition(path, *sort));
        found.map(|(path, _)| path.clone())
    }

    /// Returns a path in a directory that nothing has.
    pub(super) fn new_name(&mut self, place: &Path) -> PathBuf {
        self.names += 1;
        let mut free = (self.names..).map(|n| place.join(format!("change {n}")));
        free.find(|path| path.symlink_metadata().is_err())
            .unwrap_or_default()
    }

    /// Notes that a path is new, with all below.
    pub(super) fn add(&mut self, path: &Path) -> io::Result<()> {
        let sort = Sort::of(path.symlink_metadata()?.file_type());
        self.entries.push((path.into(), sort));
        if sort == Sort::Directory {
            self.add_below(path)
        } else {
            Ok(())
        }
    }

    /// Notes that a path is gone, with all below.
    pub(super) fn remove(&mut self, path: &Path) {
        self.entries.retain(|(entry, _)| !entry.starts_with(path));
    }

    fn is_small(&self, directory: &Path) -> bool {
        let below = self
            .entries
            .iter()
            .filter(|(path, _)| path.starts_with(directory));
        below.take(LARGEST_SUBTREE + 1).count() <= LARGEST_SUBTREE
    }

    fn add_below(&mut self, directory: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            self.add(&entry?.path())?;
        }
        Ok(())
    }
}

impl Sort {
    fn of(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Symlink
        } else {
            Self::Other
        }
    }
}
