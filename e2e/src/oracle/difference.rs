//! What the comparer can find.

use std::fmt;

/// One difference between the two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path relative to the roots; empty for the roots themselves.
    pub path: Vec<u8>,
    /// In what they differ there.
    pub what: What,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            b"."
        } else {
            &self.path[..]
        };
        write!(f, "{}: {}", path.escape_ascii(), self.what)
    }
}

/// In what an entry differs; pairs are source, destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The destination lacks it.
    Missing,
    /// The source does not have it.
    Extraneous,
    /// A state folder or a temporary name that a run left in the destination.
    Leftover,
    /// Bits of `st_mode` that tell the type.
    Type(u32, u32),
    /// Permission and set-id bits.
    Mode(u32, u32),
    /// Owner.
    Uid(u32, u32),
    /// Group.
    Gid(u32, u32),
    /// Length in bytes.
    Size(u64, u64),
    /// Offset of the first byte that differs.
    Content(u64),
    /// Target of a symbolic link.
    Target(Vec<u8>, Vec<u8>),
    /// Device number.
    Device(u64, u64),
    /// Time of the last change: seconds and nanoseconds.
    Mtime((i64, i64), (i64, i64)),
    /// Offset of data that is allocated where the source has a hole.
    Hole(u64),
    /// An extended attribute: name, values.
    Xattr(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
    /// In the source this is a link to the named path; in the destination it is not.
    LinkBroken(Vec<u8>),
    /// In the destination this is a link to the named path; in the source it is not.
    LinkJoined(Vec<u8>),
    /// The inode's link count and the number of names it has in the destination.
    LinkCount(u64, u64),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing in the destination"),
            Self::Extraneous => f.write_str("only in the destination"),
            Self::Leftover => f.write_str("left over from a run"),
            Self::Type(a, b) => write!(f, "type {a:06o} became {b:06o}"),
            Self::Mode(a, b) => write!(f, "mode {a:04o} became {b:04o}"),
            Self::Uid(a, b) => write!(f, "owner {a} became {b}"),
            Self::Gid(a, b) => write!(f, "group {a} became {b}"),
            Self::Size(a, b) => write!(f, "{a} bytes became {b}"),
            Self::Content(offset) => write!(f, "content differs from byte {offset} on"),
            Self::Target(a, b) => {
                write!(f, "target {} became {}", a.escape_ascii(), b.escape_ascii())
            }
            Self::Device(a, b) => write!(f, "device number {a:#x} became {b:#x}"),
            Self::Mtime(a, b) => write!(f, "mtime {}.{:09} became {}.{:09}", a.0, a.1, b.0, b.1),
            Self::Hole(offset) => write!(f, "data at byte {offset}, a hole in the source"),
            Self::Xattr(name, a, b) => {
                let value = |value: &Option<Vec<u8>>| {
                    value
                        .as_ref()
                        .map_or_else(|| "nothing".into(), |v| format!("{:02x?}", v))
                };
                write!(
                    f,
                    "attribute {}: {} became {}",
                    name.escape_ascii(),
                    value(a),
                    value(b)
                )
            }
            Self::LinkBroken(other) => {
                write!(f, "no longer the same inode as {}", other.escape_ascii())
            }
            Self::LinkJoined(other) => {
                write!(f, "wrongly the same inode as {}", other.escape_ascii())
            }
            Self::LinkCount(count, names) => {
                write!(
                    f,
                    "link count {count}, but {names} names in the destination"
                )
            }
        }
    }
}
