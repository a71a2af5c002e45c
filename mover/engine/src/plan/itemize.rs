//! What changes of an entry, in the words of rsync's `--itemize-changes`.
//!
//! An [`Item`] says in which attributes source and destination differed before anything was done, so that a
//! run and its rehearsal say the same.

use super::compare::{Attributes, XattrChanges, same_time};
use crate::entry::{Kind, Meta, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::xattr;
use crate::run::events::Change;

/// Length of [`Item::code`].
pub const CODE_LENGTH: usize = 11;
const DELETING: &[u8; CODE_LENGTH] = b"*deleting  ";

/// In what an entry differs from what had its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// Kind of the entry.
    pub kind: Kind,
    /// Nothing of this kind had its name.
    pub new: bool,
    /// The content differs although size and time do not; or the target of a link, or the number of a device.
    pub content: bool,
    /// Length of a file.
    pub size: bool,
    /// Time of last change.
    pub time: bool,
    /// Mode.
    pub mode: bool,
    /// Owner.
    pub owner: bool,
    /// Group.
    pub group: bool,
    /// A POSIX ACL.
    pub acl: bool,
    /// Another extended attribute.
    pub xattr: bool,
}

impl Item {
    /// An entry that has no counterpart, or one that goes.
    pub fn new(kind: Kind) -> Self {
        Self {
            new: true,
            ..Self::same(kind)
        }
    }

    fn same(kind: Kind) -> Self {
        Self {
            kind,
            new: false,
            content: false,
            size: false,
            time: false,
            mode: false,
            owner: false,
            group: false,
            acl: false,
            xattr: false,
        }
    }

    /// Compares what `stat` says, as far as it can be kept.
    pub fn compare(source: &Meta, existing: &Meta, ability: &Ability) -> Self {
        if source.kind != existing.kind {
            return Self::new(source.kind);
        }
        let target = Attributes::target(source, ability);
        Self {
            content: source.kind.is_device() && source.rdev != existing.rdev,
            size: source.kind == Kind::File && source.size != existing.size,
            time: !same_time(source, existing),
            mode: source.kind != Kind::Symlink && target.mode != existing.mode,
            owner: target.uid.is_some_and(|uid| uid != existing.uid),
            group: target.gid.is_some_and(|gid| gid != existing.gid),
            ..Self::same(source.kind)
        }
    }

    /// Adds what differs in extended attributes. `existing` are those that are there.
    pub fn add_xattrs(&mut self, changes: &XattrChanges<'_>, existing: &Xattrs) {
        let set = changes
            .set
            .iter()
            .map(|(name, value)| (*name, Some(*value)));
        for (name, value) in set.chain(changes.remove.iter().map(|name| (*name, None))) {
            if name == xattr::ACL_ACCESS {
                self.acl |= beyond_mode(value) != beyond_mode(existing.get(name));
            } else if name == xattr::ACL_DEFAULT {
                self.acl = true;
            } else {
                self.xattr = true;
            }
        }
    }

    /// Returns rsync's eleven characters.
    pub fn code(&self, change: Change) -> [u8; CODE_LENGTH] {
        let first = match change {
            Change::Deleted => return *DELETING,
            Change::Created | Change::Replaced if self.kind == Kind::File => b'>',
            Change::Created | Change::Replaced => b'c',
            Change::Linked => b'h',
            Change::Attributes => b'.',
        };
        let kind = match self.kind {
            Kind::File => b'f',
            Kind::Directory => b'd',
            Kind::Symlink => b'L',
            Kind::Fifo | Kind::Socket => b'S',
            Kind::CharDevice | Kind::BlockDevice => b'D',
        };
        let mut code = [b'+'; CODE_LENGTH];
        (code[0], code[1]) = (first, kind);
        if self.new {
            return code;
        }
        let flags = [
            (self.content, b'c'),
            (self.size, b's'),
            (self.time, b't'),
            (self.mode, b'p'),
            (self.owner, b'o'),
            (self.group, b'g'),
            // Times of access and of birth are not kept.
            (false, b'u'),
            (self.acl, b'a'),
            (self.xattr, b'x'),
        ];
        // Where no content moves and nothing differs rsync leaves the rest blank.
        let none = first != b'>' && flags.iter().all(|(set, _)| !set);
        for (place, (set, letter)) in code[2..].iter_mut().zip(flags) {
            *place = match (set, none) {
                (true, _) => letter,
                (false, true) => b' ',
                (false, false) => b'.',
            };
        }
        code
    }
}

/// Entry of an ACL as an extended attribute: tag, permissions, id (`posix_acl_xattr.h`).
type AclEntry = [u8; 8];
/// Bytes before the entries.
const ACL_HEADER: usize = 4;
const USER_OBJ: u8 = 0x01;
const GROUP_OBJ: u8 = 0x04;
const MASK: u8 = 0x10;
const OTHER: u8 = 0x20;

/// Returns what an access ACL says that the mode does not: a change of the mode is also one of its ACL, and
/// is named once.
fn beyond_mode(acl: Option<&[u8]>) -> Vec<AclEntry> {
    let entries = acl
        .and_then(|acl| acl.get(ACL_HEADER..))
        .unwrap_or_default();
    let entries = entries.as_chunks::<8>().0;
    let mask = entries.iter().find(|entry| entry[0] == MASK);
    let said_by_mode = |entry: &&AclEntry| match entry[0] {
        USER_OBJ | MASK | OTHER => true,
        // The group's bits of the mode are those of the mask, if there is one.
        GROUP_OBJ => mask.is_none_or(|mask| mask[2] == entry[2]),
        _ => false,
    };
    let beyond = entries.iter().filter(|entry| !said_by_mode(entry));
    beyond.copied().collect()
}

#[cfg(test)]
mod tests;
