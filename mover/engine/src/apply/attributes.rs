//! Owner, mode, ACLs, extended attributes and times of one inode, in the order in which they do not undo
//! each other: owner (clears set-id bits), ACLs (change the mode), mode, other attributes with the
//! capability last (a change of owner clears it), times.

use rustix::io::Errno;

use crate::entry::{Kind, Meta, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::pin::Pin;
use crate::fs::xattr;
use crate::plan::compare::{Attributes, SET_ID, same_time, xattr_changes};

/// What could not be set although it was tried.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Attributes that the file system or our rights do not allow, by kind.
    pub(crate) not_kept: Vec<&'static str>,
    /// Something was changed.
    pub(crate) changed: bool,
}

/// What an inode has now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current<'a> {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    /// Where its times are; `None` if they are certainly not the source's.
    pub(crate) times: Option<&'a Meta>,
}

impl<'a> From<&'a Meta> for Current<'a> {
    fn from(meta: &'a Meta) -> Self {
        Self {
            uid: meta.uid,
            gid: meta.gid,
            mode: meta.mode,
            times: Some(meta),
        }
    }
}

/// Brings the attributes of `pin` to those of the source. `current` and `existing` are what it has now.
pub(crate) fn apply(
    pin: &Pin<'_>,
    source: &Meta,
    source_xattrs: &Xattrs,
    current: Current<'_>,
    existing: &Xattrs,
    ability: &Ability,
) -> Result<Applied, Errno> {
    let mut applied = Applied::default();
    let mut target = Attributes::target(source, ability);
    let mut keeps_owner = target.keeps_owner();
    let uid = target.uid.filter(|uid| *uid != current.uid);
    let gid = target.gid.filter(|gid| *gid != current.gid);
    let mut mode_unsure = false;
    if uid.is_some() || gid.is_some() {
        match pin.chown(uid, gid) {
            Ok(()) => {
                applied.changed = true;
                // Every change of owner clears set-id bits.
                mode_unsure = true;
            }
            // A file system that maps owners, or a user namespace that has no such number.
            Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => {
                keeps_owner = false;
                target.mode &= !SET_ID;
            }
            Err(errno) => return Err(errno),
        }
    }
    if !keeps_owner {
        applied.not_kept.push("owner");
    }
    if !ability.special_files && source.mode & SET_ID != 0 {
        applied.note("setid");
    }
    let changes = xattr_changes(source_xattrs, existing, ability, keeps_owner);
    for name in &changes.not_kept {
        applied.note(kind_of(name));
    }
    for name in &changes.remove {
        match pin.remove_xattr(name) {
            Ok(()) => applied.changed = true,
            Err(Errno::NODATA) => {}
            Err(errno) => refused(&mut applied, name, errno)?,
        }
        mode_unsure |= is_acl(name);
    }
    for (name, value) in changes.set.iter().filter(|(name, _)| is_acl(name)) {
        match pin.set_xattr(name, value) {
            Ok(()) => applied.changed = true,
            Err(errno) => refused(&mut applied, name, errno)?,
        }
        mode_unsure = true;
    }
    let mode_differs = mode_unsure || current.mode != target.mode;
    if source.kind != Kind::Symlink && mode_differs {
        match pin.chmod(target.mode) {
            Ok(()) => applied.changed = true,
            Err(Errno::PERM | Errno::OPNOTSUPP) => applied.note("mode"),
            Err(errno) => return Err(errno),
        }
    }
    for (name, value) in changes.set.iter().filter(|(name, _)| !is_acl(name)) {
        match pin.set_xattr(name, value) {
            Ok(()) => applied.changed = true,
            Err(errno) => refused(&mut applied, name, errno)?,
        }
    }
    let same_time = current.times.is_some_and(|found| same_time(source, found));
    if applied.changed || !same_time {
        match pin.set_mtime(source.mtime) {
            Ok(()) => applied.changed |= !same_time,
            Err(Errno::PERM | Errno::ACCESS) => applied.note("times"),
            Err(errno) => return Err(errno),
        }
    }
    Ok(applied)
}

/// Returns what cannot be kept of an entry that is as right as it can be, by kind.
pub(crate) fn not_kept(
    source: &Meta,
    source_xattrs: &Xattrs,
    existing: &Meta,
    existing_xattrs: &Xattrs,
    ability: &Ability,
) -> Vec<&'static str> {
    let mut found = Applied::default();
    let keeps_owner = Attributes::target(source, ability).keeps_owner();
    if !keeps_owner && (source.uid, source.gid) != (existing.uid, existing.gid) {
        found.note("owner");
    }
    if !ability.special_files && source.mode & SET_ID != 0 {
        found.note("setid");
    }
    let changes = xattr_changes(source_xattrs, existing_xattrs, ability, keeps_owner);
    for name in &changes.not_kept {
        found.note(kind_of(name));
    }
    found.not_kept
}

impl Applied {
    fn note(&mut self, kind: &'static str) {
        if !self.not_kept.contains(&kind) {
            self.not_kept.push(kind);
        }
    }
}

/// An attribute that cannot be set here is noted; no space and I/O errors are errors.
fn refused(applied: &mut Applied, name: &[u8], errno: Errno) -> Result<(), Errno> {
    match errno {
        Errno::PERM
        | Errno::ACCESS
        | Errno::OPNOTSUPP
        | Errno::INVAL
        | Errno::TOOBIG
        | Errno::RANGE => {
            applied.note(kind_of(name));
            Ok(())
        }
        other => Err(other),
    }
}

fn is_acl(name: &[u8]) -> bool {
    name == xattr::ACL_ACCESS || name == xattr::ACL_DEFAULT
}

/// Returns the kind under which an attribute is reported.
pub(crate) fn kind_of(name: &[u8]) -> &'static str {
    if is_acl(name) {
        "acl"
    } else if name == xattr::CAPABILITY {
        "capability"
    } else if name.starts_with(b"trusted.") {
        "trusted"
    } else if name.starts_with(b"security.") {
        "security"
    } else {
        "xattr"
    }
}
