//! What a directory tree is made of: entries with a name, a kind and attributes.
//!
//! These are plain values. They come from a scan of this host or, decoded, from another host, and the
//! planner compares them without touching a file.

use std::fmt;

/// The kind of an inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl Kind {
    /// Returns true for the kinds that carry a device number.
    pub fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
        })
    }
}

/// A point in time as file systems keep it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What `stat` says about an inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Kind of the inode.
    pub kind: Kind,
    /// Permission and set-id bits (the low 12 bits of `st_mode`).
    pub mode: u32,
    /// Owner, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that are allocated; fewer than `size` needs means holes.
    pub blocks: u64,
    /// Time of the last change of the content.
    pub mtime: Time,
    /// Time of the last change of the inode.
    pub ctime: Time,
    /// Device number of a device node (major, minor), else (0, 0).
    pub rdev: (u32, u32),
    /// Device that holds the inode (major, minor).
    pub dev: (u32, u32),
    /// Inode number, unique within `dev`.
    pub ino: u64,
    /// Number of names the inode has.
    pub nlink: u32,
}

impl Meta {
    /// Returns the identity of the inode on its host.
    pub fn inode(&self) -> Inode {
        Inode {
            dev: self.dev,
            ino: self.ino,
        }
    }

    /// Returns true if the file has fewer blocks than its length needs. The opposite proves nothing: blocks
    /// of extended attributes and those that were allocated ahead, beyond the end, count too.
    pub fn is_sparse(&self) -> bool {
        self.kind == Kind::File && self.blocks.saturating_mul(512) < self.size
    }

    /// Returns true if both describe the same state of the same inode: nothing was written in between.
    pub fn same_state(&self, other: &Self) -> bool {
        self.inode() == other.inode()
            && self.kind == other.kind
            && self.size == other.size
            && self.mtime == other.mtime
            && self.ctime == other.ctime
    }
}

/// Identity of an inode on one host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Inode {
    /// Device (major, minor).
    pub dev: (u32, u32),
    /// Inode number.
    pub ino: u64,
}

/// Extended attributes of an inode, sorted by name; POSIX ACLs are the two `system.posix_acl_*` among them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Xattrs(pub Vec<Xattr>);

/// One extended attribute: name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

impl Xattrs {
    /// Returns the value of `name`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| **n == *name).map(|(_, v)| &**v)
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Number of a source directory in this run; the source numbers them as it finds them. The root is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct DirId(pub u64);

impl DirId {
    /// The root of the source.
    pub const ROOT: Self = Self(0);
}

/// One name in a source directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name, without any slash; empty for the root itself.
    pub name: Box<[u8]>,
    /// Attributes.
    pub meta: Meta,
    /// Target of a symbolic link.
    pub target: Option<Box<[u8]>>,
    /// Number under which the content of a directory will be listed.
    pub dir: Option<DirId>,
    /// Extended attributes; `None` where the source does not send them with the listing (a local source:
    /// they are read from the handle when needed).
    pub xattrs: Option<Xattrs>,
}

impl Entry {
    /// Returns about how many bytes the entry takes in memory and in a message.
    pub fn weight(&self) -> usize {
        let xattrs = self
            .xattrs
            .iter()
            .flat_map(|x| &x.0)
            .map(|(n, v)| n.len() + v.len() + 8);
        let target = self.target.as_ref().map_or(0, |t| t.len());
        self.name.len() + target + xattrs.sum::<usize>() + 96
    }
}

/// Returns true if `name` can be a directory entry: not empty, not `.` or `..`, no `/`, no NUL, at most 255 bytes.
///
/// Every name that comes from another host is checked with this before it is used.
pub fn is_valid_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != b"."
        && name != b".."
        && !name.iter().any(|b| *b == b'/' || *b == 0)
}

/// Displays bytes of a name for people: UTF-8 as it is, control characters and other bytes escaped.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || is_bidi_control(c) {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            for b in chunk.invalid() {
                write!(f, "\\x{b:02x}")?;
            }
        }
        Ok(())
    }
}

/// Characters that reorder what follows on a terminal, and so can make one name look like another.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
