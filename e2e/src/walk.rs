//! Directories by handle, so that no path is ever too long and a tree can be deeper than `PATH_MAX`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// An open directory.
pub(crate) struct Directory(File);

impl Directory {
    /// Opens a directory; a symbolic link in its place is an error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .map(Self)
    }

    /// Opens a directory in this one.
    pub(crate) fn open_below(&self, name: &[u8]) -> io::Result<Self> {
        Self::open(&self.at(name))
    }

    /// Returns a short path of an entry, good while the handle is open.
    pub(crate) fn at(&self, name: &[u8]) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        path.push(OsStr::from_bytes(name));
        path
    }

    /// Returns a short path of the directory itself; the final dot makes every call follow the link.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.0.as_raw_fd()))
    }

    /// Returns the names of all entries, sorted.
    pub(crate) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let entries = std::fs::read_dir(self.path())?;
        let mut names: Vec<_> = entries
            .map(|entry| Ok(entry?.file_name().into_vec()))
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }
}

/// Appends a name to a path relative to the root of a walk; the root itself is the empty path.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = parent.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
