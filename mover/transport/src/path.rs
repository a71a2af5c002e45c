//! A path below the root of a daemon: components without any that could lead out of it. Pure.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use blit_engine::entry::{Escaped, is_valid_name};

/// Longest path, in bytes: PATH_MAX.
pub const PATH_BYTES: usize = 4096;

/// A path below a root. The root itself has no components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelPath(Vec<Box<[u8]>>);

/// A path that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It leads upwards.
    #[error("the path `{0}` holds `..`; name the directory itself")]
    Upwards(String),
    /// A component is no name.
    #[error("the path `{0}` holds something that no file can be called")]
    Name(String),
    /// It is too long.
    #[error("a path is longer than {PATH_BYTES} bytes")]
    Long,
}

impl RelPath {
    /// Parses a path. Slashes at the beginning mean the root of the daemon; empty components and `.` mean nothing.
    pub fn new(path: &[u8]) -> Result<Self, InvalidPath> {
        if path.len() > PATH_BYTES {
            return Err(InvalidPath::Long);
        }
        let named = || Escaped(path).to_string();
        let mut components = Vec::new();
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(InvalidPath::Upwards(named())),
                name if is_valid_name(name) => components.push(name.into()),
                _ => return Err(InvalidPath::Name(named())),
            }
        }
        Ok(Self(components))
    }

    /// Returns true if this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if this is `other` or below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Returns the path with slashes between the components and none before or after.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.join(&b'/')
    }

    /// Returns the path relative to the root.
    pub fn to_path(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.to_bytes()))
    }

    /// Returns the directory that holds it, and its name there; `None` for the root.
    pub fn split_last(&self) -> Option<(Self, &[u8])> {
        let (last, rest) = self.0.split_last()?;
        Some((Self(rest.to_vec()), last))
    }

    /// Returns the path of a name in this directory.
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidPath> {
        Self::new(&[&self.to_bytes(), b"/".as_slice(), name].concat())
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", Escaped(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests;
