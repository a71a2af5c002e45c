//! Links, FIFOs, sockets and devices: everything that is made by one call and has no content.

use rustix::io::Errno;

use crate::entry::{Entry, Inode, Kind, Xattrs};
use crate::fs::Dir;
use crate::fs::ability::Ability;
use crate::fs::pin::Pin;

use super::attributes::{self, Applied};
use super::leftovers::Leftovers;

/// Makes a symbolic link, FIFO, socket or device under `name`, with its attributes. Returns its inode.
pub(crate) fn make(
    dir: &Dir,
    name: &[u8],
    entry: &Entry,
    source_xattrs: &Xattrs,
    ability: &Ability,
    leftovers: &Leftovers,
) -> Result<(Inode, Applied), Errno> {
    match entry.meta.kind {
        Kind::Symlink => dir.symlink(entry.target.as_deref().unwrap_or_default(), name)?,
        kind => dir.make_node(name, kind, entry.meta.mode & 0o777, entry.meta.rdev)?,
    }
    let finish = || {
        let pin = Pin::name(dir, name)?;
        let current = pin.stat()?;
        let existing = match entry.meta.kind {
            // Has no ACL, and so inherits none.
            Kind::Symlink => Xattrs::default(),
            _ => pin.xattrs()?,
        };
        let applied = attributes::apply(
            &pin,
            &entry.meta,
            source_xattrs,
            (&current).into(),
            &existing,
            ability,
        )?;
        Ok((current.inode(), applied))
    };
    finish().inspect_err(|_| leftovers.remove(dir, name))
}

/// Makes the inode of `leader` known in `dir`, which nobody else uses, under its final `name`.
pub(crate) fn link_unseen(
    dir: &Dir,
    name: &[u8],
    leader_dir: &Dir,
    leader: &[u8],
    expected: Inode,
    leftovers: &Leftovers,
) -> Result<(), Errno> {
    dir.link_from(leader_dir, leader, name)?;
    is_link_of(dir, name, expected).inspect_err(|_| leftovers.remove(dir, name))
}

/// Makes the inode of `leader` known in `dir` under `temporary`, which `give_name` then gives its final name.
pub(crate) fn link(
    dir: &Dir,
    temporary: &[u8],
    leader_dir: &Dir,
    leader: &[u8],
    expected: Inode,
    leftovers: &Leftovers,
    give_name: impl FnOnce(&Dir, &[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    dir.link_from(leader_dir, leader, temporary)?;
    let linked = is_link_of(dir, temporary, expected).and_then(|()| give_name(dir, temporary));
    // Renaming one name of an inode over another does nothing, and leaves the temporary name.
    leftovers.remove(dir, temporary);
    linked
}

/// Somebody may have given the name of the leader to something else.
fn is_link_of(dir: &Dir, name: &[u8], expected: Inode) -> Result<(), Errno> {
    let found = dir.stat(name)?.inode();
    (found == expected).then_some(()).ok_or(Errno::STALE)
}
