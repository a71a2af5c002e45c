//! Trees for tests: a plain description, random ones ([`random`]), one of everything ([`every_kind`]).
//!
//! A description is a list; each node names its directory by a number that is taken modulo the directories
//! made before it. So every description is a valid tree, and still is when proptest leaves nodes out.

mod build;
mod catalogue;
mod chain;
mod content;
pub mod random;
mod text;
mod value;

pub use build::build;
pub use catalogue::every_kind;
pub use chain::chain;
pub use content::{Content, Holes};
pub use value::{Acl, capability};

/// A tree to be made.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Attributes of the root.
    pub root: Attributes,
    /// What is below, each after its directory.
    pub nodes: Vec<Node>,
}

/// One entry to be made.
#[derive(Clone, Debug)]
pub struct Node {
    /// Number of the directory that it is put in, modulo the directories made before; 0 is the root.
    pub place: usize,
    /// Name. If it is taken there, the node is left out.
    pub name: Vec<u8>,
    /// What to make.
    pub kind: Kind,
    /// Attributes; a hard link has those of what it links to.
    pub attributes: Attributes,
}

/// What to make.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A Unix socket that nobody listens on.
    Socket,
    /// A character device: major, minor.
    CharDevice(u64, u64),
    /// A block device: major, minor.
    BlockDevice(u64, u64),
    /// Another name of an earlier entry that is not a directory: its number, modulo those made before.
    HardLink(usize),
}

/// Attributes of an entry; those that its type cannot have are left out when it is made.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Permission and set-id bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change: seconds, nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Access ACL.
    pub acl: Option<Acl>,
    /// Default ACL of a directory.
    pub default_acl: Option<Acl>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: (1_600_000_000, 123_456_789),
            xattrs: Vec::new(),
            acl: None,
            default_acl: None,
        }
    }
}

#[cfg(test)]
mod tests;
