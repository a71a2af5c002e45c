//! Whether an entry of the destination is what the source has, and what to do if not.

use crate::entry::{Entry, Kind, Meta, Time, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::xattr;

/// What must happen to an existing entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing, as far as `stat` tells; extended attributes are compared apart.
    Same,
    /// The content is right, attributes are not.
    Metadata,
    /// Only the content can tell; [`metadata`] says the rest.
    Content,
    /// It is something else, or its content may differ.
    Replace,
}

/// A run that was cut off by a crash of the machine or of the file system: its files may have size and time but no data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crashed {
    /// When the oldest such run began.
    pub since: Time,
}

/// What is taken as proof that two files of one size have the same content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Proof {
    /// Nothing but the content itself; else the time of its last change.
    pub content: bool,
    /// The time proves nothing for what such a run may have written.
    pub crashed: Option<Crashed>,
}

/// Compares by kind, size, link target, device number, time and what can be kept of owner and mode.
pub fn compare(
    source: &Entry,
    existing: &Meta,
    existing_target: Option<&[u8]>,
    ability: &Ability,
    proof: Proof,
) -> Verdict {
    let wanted = &source.meta;
    let different = wanted.kind != existing.kind
        || match wanted.kind {
            Kind::File => {
                let doubtful = proof.content
                    || proof
                        .crashed
                        .is_some_and(|crash| existing.ctime >= crash.since);
                let equal_size = wanted.size == existing.size;
                if equal_size && doubtful && wanted.size > 0 {
                    return Verdict::Content;
                }
                !equal_size || !(proof.content || same_time(wanted, existing))
            }
            Kind::Symlink => source.target.as_deref() != existing_target,
            Kind::CharDevice | Kind::BlockDevice => wanted.rdev != existing.rdev,
            Kind::Directory | Kind::Fifo | Kind::Socket => false,
        };
    if different {
        return Verdict::Replace;
    }
    metadata(wanted, existing, ability)
}

/// Compares what is left when the content is known to be the same: [`Verdict::Same`] or
/// [`Verdict::Metadata`].
pub fn metadata(source: &Meta, existing: &Meta, ability: &Ability) -> Verdict {
    if same_time(source, existing) && attributes_match(source, existing, ability) {
        Verdict::Same
    } else {
        Verdict::Metadata
    }
}

/// Nanoseconds that file systems cut times to: NTFS and SMB, protocols with micro- and milliseconds, exFAT.
const FINE_GRANULES: [u32; 3] = [100, 1_000, 1_000_000];
/// The same, so coarse that agreement alone proves nothing; whole seconds are apart.
const EXFAT_GRANULE: u32 = 10_000_000;
/// The last second that 32 bits hold; an inode of 128 bytes keeps no later one.
const LAST_SECOND: i64 = i32::MAX as i64;

/// Returns true if `existing` has the time of the source's last change, as far as its file system keeps it.
///
/// No call says to what a file system cuts times, but what it has stored does: a time that is exactly the
/// source's cut to less than a millisecond is no accident, and one cut to whole seconds is none if the
/// kernel's own time of the inode's last change was cut in the same way.
pub fn same_time(source: &Meta, existing: &Meta) -> bool {
    let (wanted, found) = (source.mtime, existing.mtime);
    if wanted == found {
        return true;
    }
    let changed = existing.ctime.nanoseconds;
    if wanted.seconds > LAST_SECOND {
        return found.seconds == LAST_SECOND && found.nanoseconds == 0 && changed == 0;
    }
    // FAT keeps every other second. Nothing tells it from what keeps each, where the same would hide a change
    // of the next second, so there files are copied again.
    if wanted.seconds != found.seconds {
        return false;
    }
    let cut_to = |granule| wanted.nanoseconds - wanted.nanoseconds % granule == found.nanoseconds;
    let proven = |granule| cut_to(granule) && changed.is_multiple_of(granule);
    if found.nanoseconds == 0 {
        // Cut to whole seconds, or to less by chance at the beginning of one.
        return changed == 0 || FINE_GRANULES.into_iter().any(proven) || proven(EXFAT_GRANULE);
    }
    FINE_GRANULES.into_iter().any(cut_to) || proven(EXFAT_GRANULE)
}

/// Returns true if owner, group and mode are those of the source, as far as this process can set them.
pub fn attributes_match(source: &Meta, existing: &Meta, ability: &Ability) -> bool {
    let target = Attributes::target(source, ability);
    let mode_matches = source.kind == Kind::Symlink || target.mode == existing.mode;
    target.uid.is_none_or(|uid| uid == existing.uid)
        && target.gid.is_none_or(|gid| gid == existing.gid)
        && mode_matches
}

/// Set-user-id and set-group-id bits of a mode.
pub const SET_ID: u32 = 0o6000;

/// Owner, group and mode that an entry gets at the destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// Owner, unless it cannot be set.
    pub uid: Option<u32>,
    /// Group, unless it cannot be set.
    pub gid: Option<u32>,
    /// Mode; without set-id bits where the owner or group they speak of could not be kept, or where they
    /// may not be written.
    pub mode: u32,
}

impl Attributes {
    /// Decides what can be kept of the source's attributes.
    pub fn target(source: &Meta, ability: &Ability) -> Self {
        let uid = ability.owner.uid.unwrap_or(source.uid);
        let gid = ability.owner.gid.unwrap_or(source.gid);
        let uid = (ability.chown || uid == ability.uid).then_some(uid);
        let gid = ability.can_chgrp(gid).then_some(gid);
        let mut mode = source.mode;
        if source.kind == Kind::File {
            if uid.is_none() {
                mode &= !0o4000;
            }
            if gid.is_none() {
                mode &= !0o2000;
            }
        }
        if !ability.special_files {
            mode &= !SET_ID;
        }
        Self { uid, gid, mode }
    }

    /// Returns true if owner and group are kept.
    pub fn keeps_owner(&self) -> bool {
        self.uid.is_some() && self.gid.is_some()
    }
}

/// Which extended attributes to set and to remove, so that `existing` becomes `wanted`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct XattrChanges<'a> {
    /// Names and values; `security.capability` is the last, because other changes clear it.
    pub set: Vec<(&'a [u8], &'a [u8])>,
    /// Names.
    pub remove: Vec<&'a [u8]>,
    /// Names that the source has and this process cannot set.
    pub not_kept: Vec<&'a [u8]>,
}

impl XattrChanges<'_> {
    /// Returns true if nothing has to be changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// Compares extended attributes, leaving out what cannot be kept.
pub fn xattr_changes<'a>(
    wanted: &'a Xattrs,
    existing: &'a Xattrs,
    ability: &Ability,
    owner_kept: bool,
) -> XattrChanges<'a> {
    let mut changes = XattrChanges::default();
    let refused = |name: &[u8]| name == xattr::CAPABILITY && !ability.special_files;
    for (name, value) in &wanted.0 {
        if existing.get(name) == Some(value) && !refused(name) {
            continue;
        }
        if can_set(name, ability, owner_kept) && !refused(name) {
            changes.set.push((name, value));
        } else {
            changes.not_kept.push(name);
        }
    }
    changes
        .set
        .sort_by_key(|(name, _)| **name == *xattr::CAPABILITY);
    for (name, _) in &existing.0 {
        let unwanted = wanted.get(name).is_none() || refused(name);
        if unwanted && can_set(name, ability, true) {
            changes.remove.push(name);
        }
    }
    changes
}

fn can_set(name: &[u8], ability: &Ability, owner_kept: bool) -> bool {
    if name.starts_with(b"trusted.") {
        ability.trusted
    } else if name == xattr::CAPABILITY {
        // A capability on a file of another owner would give that owner what the source's had.
        ability.capability && owner_kept
    } else if name.starts_with(b"security.") {
        ability.trusted
    } else {
        true
    }
}

#[cfg(test)]
mod tests;
