//! An inode held by a handle while its attributes are set: whatever happens to its name, they reach it and
//! nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::dir::{Dir, stat_fd};
use super::xattr;
use crate::entry::{Meta, Time, Xattrs};
use crate::watch::{Call, call};

/// A handle of an inode: a real one of a file or directory, or `O_PATH` for everything else.
#[derive(Debug)]
pub enum Pin<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// An `O_PATH` handle.
    Path(OwnedFd),
}

impl Pin<'_> {
    /// Holds the inode that has this name.
    pub fn name(dir: &Dir, name: &[u8]) -> Result<Self, Errno> {
        dir.open_path(name).map(Self::Path)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Open(fd) => *fd,
            Self::Path(fd) => fd.as_fd(),
        }
    }

    /// Returns the attributes.
    pub fn stat(&self) -> Result<Meta, Errno> {
        stat_fd(self.fd())
    }

    /// Returns the extended attributes.
    pub fn xattrs(&self) -> Result<Xattrs, Errno> {
        match self {
            Self::Open(fd) => xattr::of_fd(*fd),
            Self::Path(fd) => xattr::of_path_fd(fd.as_fd()),
        }
    }

    /// Sets owner and group; `None` leaves one as it is.
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        call(Call::Chown, self.fd(), || match self {
            Self::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Self::Path(fd) => rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH),
        })
    }

    /// Sets the low 12 bits of the mode. Not for symbolic links, which have none.
    pub fn chmod(&self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode);
        call(Call::Chmod, self.fd(), || match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::Path(fd) => rustix::fs::chmod(&*xattr::proc_path(fd.as_fd())?, mode),
        })
    }

    /// Sets the time of the last change of the content; the access time stays.
    pub fn set_mtime(&self, mtime: Time) -> Result<(), Errno> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: rustix::fs::UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime.seconds,
                tv_nsec: i64::from(mtime.nanoseconds),
            },
        };
        call(Call::Utimens, self.fd(), || match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::Path(fd) => rustix::fs::utimensat(fd, c"", &times, AtFlags::EMPTY_PATH),
        })
    }

    /// Sets one extended attribute.
    pub fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => xattr::set_fd(*fd, name, value),
            Self::Path(fd) => xattr::set_path_fd(fd.as_fd(), name, value),
        }
    }

    /// Removes one extended attribute.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => xattr::remove_fd(*fd, name),
            Self::Path(fd) => xattr::remove_path_fd(fd.as_fd(), name),
        }
    }
}
