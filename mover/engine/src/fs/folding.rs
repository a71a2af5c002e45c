//! Whether a directory takes spellings of a name that differ in case for one, found out without writing.
//!
//! What is there answers: a name that is looked for under its other spelling. Where nothing is there, the
//! directory's own flag does, or the directories above it on the same file system, because what is made in one is as it is.

use rustix::fs::ioctl_getflags;
use rustix::io::Errno;

use super::{Dir, Names};
use crate::entry::{Kind, Meta};

/// `FS_CASEFOLD_FL` of `linux/fs.h`, which ext4, f2fs and tmpfs set.
const CASEFOLD: u32 = 0x4000_0000;
/// Names of a directory that are looked at: one with letters says it.
const NAMES: usize = 1000;

/// Returns what the names in a directory say, if they say anything.
pub fn seen(dir: &Dir) -> Option<bool> {
    let mut names = Names::of(dir).ok()?;
    for _ in 0..NAMES {
        let name = names.next_name().ok()??;
        let Some(respelled) = respelled(name) else {
            continue;
        };
        // In this order, so that a name which goes meanwhile says nothing.
        let found = dir.stat(&respelled);
        let Ok(there) = dir.stat(name) else {
            continue;
        };
        match found {
            Err(Errno::NOENT) => return Some(false),
            Ok(found) if found.inode() == there.inode() && has_one_name(&there) => {
                return Some(true);
            }
            // It can be a name of its own. A number says little: some network file systems make one up for each look.
            Ok(_) => return Some(!is_listed(dir, &respelled).ok()?),
            Err(_) => {}
        }
    }
    None
}

fn has_one_name(meta: &Meta) -> bool {
    meta.kind == Kind::Directory || meta.nlink == 1
}

fn is_listed(dir: &Dir, wanted: &[u8]) -> Result<bool, Errno> {
    let mut names = Names::of(dir)?;
    while let Some(name) = names.next_name()? {
        if name == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same, and where the names say nothing what else there is to look at.
pub fn foreseen(dir: &Dir) -> Option<bool> {
    let mut above = None;
    loop {
        let at = above.as_ref().unwrap_or(dir);
        if let Some(folds) = seen(at) {
            return Some(folds);
        }
        if ioctl_getflags(at).is_ok_and(|flags| flags.bits() & CASEFOLD != 0) {
            return Some(true);
        }
        let parent = at.parent().ok()?;
        let (here, there) = (
            at.stat_self().ok()?.inode(),
            parent.stat_self().ok()?.inode(),
        );
        // Above a mount is another file system, and above the root nothing.
        if there.dev != here.dev || there == here {
            return None;
        }
        above = Some(parent);
    }
}

/// Returns true if a directory is known to be empty.
pub fn is_empty(dir: &Dir) -> bool {
    Names::of(dir).is_ok_and(|mut names| matches!(names.next_name(), Ok(None)))
}

/// Returns a name with the case of its letters swapped; `None` if it has none of which every file system knows two.
fn respelled(name: &[u8]) -> Option<Vec<u8>> {
    let swapped = |byte: &u8| match byte.is_ascii_lowercase() {
        true => byte.to_ascii_uppercase(),
        false => byte.to_ascii_lowercase(),
    };
    let has_letters = name.iter().any(u8::is_ascii_alphabetic);
    has_letters.then(|| name.iter().map(swapped).collect())
}

#[cfg(test)]
mod tests;
