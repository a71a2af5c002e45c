//! How two roots lie to each other. A tree must not be copied into itself.

use rustix::io::Errno;

use super::dir::Dir;
use crate::entry::Inode;

/// How the second of two directories lies to the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// Neither contains the other.
    Apart,
    /// They are one directory.
    Same,
    /// The second lies inside the first.
    Inside,
    /// The second contains the first.
    Contains,
}

/// Compares by inode along `..`, so that bind mounts and links in the operands do not deceive.
pub fn relation(first: &Dir, second: &Dir) -> Result<Relation, Errno> {
    let first_inode = first.stat_self()?.inode();
    let second_inode = second.stat_self()?.inode();
    Ok(if first_inode == second_inode {
        Relation::Same
    } else if has_ancestor(second, first_inode)? {
        Relation::Inside
    } else if has_ancestor(first, second_inode)? {
        Relation::Contains
    } else {
        Relation::Apart
    })
}

fn has_ancestor(dir: &Dir, wanted: Inode) -> Result<bool, Errno> {
    let mut inode = dir.stat_self()?.inode();
    let mut dir = match dir.parent() {
        Ok(parent) => parent,
        // A parent that may not be read cannot be compared; a directory opened later still is.
        Err(Errno::ACCESS) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    loop {
        let above = dir.stat_self()?.inode();
        if above == wanted {
            return Ok(true);
        }
        // The root of the file system is its own parent.
        if above == inode {
            return Ok(false);
        }
        inode = above;
        dir = match dir.parent() {
            Ok(parent) => parent,
            Err(Errno::ACCESS) => return Ok(false),
            Err(errno) => return Err(errno),
        };
    }
}
