//! What a user may name as source or destination. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How a remote operand begins.
const SCHEME: &[u8] = b"blit://";

/// A source or a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A path on this host.
    Local(PathBuf),
    /// A path on another host, `blit://HOST[:PORT]/PATH`.
    Remote(String),
}

impl Operand {
    /// Sorts an argument. Any path can be named: `./blit:/x` is local.
    pub fn new(argument: OsString) -> Self {
        let bytes = argument.as_bytes();
        let is_remote = bytes
            .get(..SCHEME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME));
        if is_remote {
            Self::Remote(argument.to_string_lossy().into_owned())
        } else {
            Self::Local(argument.into())
        }
    }
}

/// Returns true if a path was written with a slash at its end, and so means a directory.
pub fn names_directory(path: &OsStr) -> bool {
    path.as_bytes().ends_with(b"/")
}

/// Returns true for what rsync would take for `HOST:PATH`: a colon before any slash.
pub fn looks_like_rsync_remote(path: &OsStr) -> bool {
    let bytes = path.as_bytes();
    bytes
        .iter()
        .position(|b| *b == b':')
        .is_some_and(|colon| !bytes[..colon].contains(&b'/'))
}

#[cfg(test)]
mod tests;
