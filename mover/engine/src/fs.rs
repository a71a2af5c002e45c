//! System calls on directory handles. The only place of the engine with `unsafe`, and the only one that
//! knows flags and error numbers of particular kernels.
//!
//! Every name is one path component relative to an open directory, opened with `O_NOFOLLOW`; a path of
//! several components is resolved only by [`Dir::beneath`], which never leaves the directory.

pub mod ability;
pub mod blocks;
pub mod clock;
pub mod copy;
pub mod dir;
pub mod flush;
pub mod folding;
pub mod hash;
pub mod mounted;
pub mod nameless;
pub mod names;
pub mod pace;
pub mod pin;
pub mod pour;
pub mod probe;
pub mod relation;
pub mod same;
mod syscall;
pub mod xattr;

pub use dir::Dir;
pub use names::Names;
pub use rustix::io::Errno;

use std::os::fd::RawFd;

use crate::entry::Escaped;

/// Returns the path of what a handle of this process refers to, as the kernel knows it; `None` if there is no such
/// handle. No file system is asked, so this works while one hangs.
pub(crate) fn path_of_handle(fd: RawFd) -> Option<Vec<u8>> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::with_capacity(256));
    link.ok().map(std::ffi::CString::into_bytes)
}

/// Returns true if a socket of this process can be written to at once.
pub(crate) fn has_room(socket: RawFd) -> bool {
    syscall::is_writable(socket)
}

/// A failed system call with what it was for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} {}: {errno}", Escaped(path))]
pub struct FsError {
    /// What was attempted, as a verb phrase: `open directory`.
    pub action: &'static str,
    /// The object, relative to the root or as the user named it.
    pub path: Box<[u8]>,
    /// The error number.
    pub errno: Errno,
}

impl FsError {
    /// Wraps an error number with what was attempted on what.
    pub fn new(action: &'static str, path: &[u8], errno: Errno) -> Self {
        Self {
            action,
            path: path.into(),
            errno,
        }
    }

    /// Returns the message without the object, for where that is named beside it.
    pub fn brief(&self) -> String {
        format!("cannot {}: {}", self.action, self.errno)
    }
}

/// Adds context to a bare error number, lazily: nothing is allocated unless the call failed.
pub trait Context<T> {
    /// Names the action and the object of a failed call.
    fn context(self, action: &'static str, path: impl FnOnce() -> Vec<u8>) -> Result<T, FsError>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, action: &'static str, path: impl FnOnce() -> Vec<u8>) -> Result<T, FsError> {
        self.map_err(|errno| FsError {
            action,
            path: path().into(),
            errno,
        })
    }
}
