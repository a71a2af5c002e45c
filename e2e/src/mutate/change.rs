//! How each kind of change is made.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use super::index::{Index, Sort};
use super::{Change, Kind};
use crate::error::escaped;
use crate::seed::Random;
use crate::xattr;

/// Longest path below which something is moved or made, in bytes: rsync must still be able to judge.
const LONGEST_PATH: usize = 3000;

/// Makes one change of this kind; `None` if the tree has nothing that fits.
pub(super) fn make(
    kind: Kind,
    index: &mut Index,
    random: &mut Random,
) -> io::Result<Option<Change>> {
    let made = match kind {
        Kind::NewFile | Kind::NewDirectory => create(kind, index, random)?,
        Kind::Grown | Kind::Shrunk | Kind::Rewritten => rewrite(kind, index, random)?,
        Kind::Renamed | Kind::Moved => rename(kind, index, random)?,
        Kind::Removed => remove(index, random)?,
        Kind::FileToDirectory | Kind::FileToSymlink => replace(kind, Sort::File, index, random)?,
        Kind::DirectoryToFile | Kind::DirectoryToSymlink => {
            replace(kind, Sort::Directory, index, random)?
        }
        Kind::SymlinkToFile | Kind::SymlinkToDirectory | Kind::Retargeted => {
            replace(kind, Sort::Symlink, index, random)?
        }
        Kind::Mode | Kind::Owner | Kind::Time | Kind::Xattr => attribute(kind, index, random)?,
        Kind::Linked => link(index, random)?,
        Kind::Unlinked => unlink(index, random)?,
    };
    let below = |path: &Path| escaped(path.strip_prefix(&index.root).unwrap_or(path));
    Ok(made.map(|(path, other)| Change {
        kind,
        path: below(&path),
        other: other.map(|other| below(&other)),
    }))
}

/// The path and, if there is one, the second path of a change.
type Made = Option<(PathBuf, Option<PathBuf>)>;

fn create(kind: Kind, index: &mut Index, random: &mut Random) -> io::Result<Made> {
    let place = index.pick_place(random);
    if place.as_os_str().len() > LONGEST_PATH {
        return Ok(None);
    }
    let path = index.new_name(&place);
    if kind == Kind::NewDirectory {
        fs::create_dir(&path)?;
        fs::write(path.join("inside"), bytes(random))?;
    } else {
        fs::write(&path, bytes(random))?;
    }
    index.add(&path)?;
    Ok(Some((path, None)))
}

fn rewrite(kind: Kind, index: &Index, random: &mut Random) -> io::Result<Made> {
    let Some(path) = index.pick(Sort::File, random) else {
        return Ok(None);
    };
    let size = path.symlink_metadata()?.size();
    let file = OpenOptions::new().write(true).open(&path)?;
    match kind {
        Kind::Grown if random.below(4) == 0 => file.set_len(size + 100_000)?,
        Kind::Grown => file.write_all_at(&bytes(random), size)?,
        _ if size == 0 => return Ok(None),
        Kind::Shrunk => file.set_len(random.bits() % size)?,
        _ => {
            // The whole of a small file, the start of a large one.
            let mut content = vec![0; size.min(100_000) as usize];
            random.fill(&mut content);
            file.write_all_at(&content, 0)?;
        }
    }
    Ok(Some((path, None)))
}

fn rename(kind: Kind, index: &mut Index, random: &mut Random) -> io::Result<Made> {
    let (from, place) = if kind == Kind::Moved {
        (
            index.pick(Sort::Directory, random),
            Some(index.pick_place(random)),
        )
    } else {
        let from = index.pick_any(random);
        let place = from
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_path_buf);
        (from, place)
    };
    let (Some(from), Some(place)) = (from, place) else {
        return Ok(None);
    };
    if place.starts_with(&from) || place.as_os_str().len() > LONGEST_PATH {
        return Ok(None);
    }
    let to = index.new_name(&place);
    fs::rename(&from, &to)?;
    index.remove(&from);
    index.add(&to)?;
    Ok(Some((from, Some(to))))
}

fn remove(index: &mut Index, random: &mut Random) -> io::Result<Made> {
    let Some(path) = index.pick_any(random) else {
        return Ok(None);
    };
    erase(&path)?;
    index.remove(&path);
    Ok(Some((path, None)))
}

/// Puts something of another type, or another target, in the place of an entry.
fn replace(kind: Kind, sort: Sort, index: &mut Index, random: &mut Random) -> io::Result<Made> {
    let Some(path) = index.pick(sort, random) else {
        return Ok(None);
    };
    erase(&path)?;
    index.remove(&path);
    match kind {
        Kind::FileToDirectory | Kind::SymlinkToDirectory => {
            fs::create_dir(&path)?;
            fs::write(path.join("inside"), bytes(random))?;
        }
        Kind::DirectoryToFile | Kind::SymlinkToFile => fs::write(&path, bytes(random))?,
        _ => symlink(format!("target {}", random.below(1000)), &path)?,
    }
    index.add(&path)?;
    Ok(Some((path, None)))
}

fn attribute(kind: Kind, index: &Index, random: &mut Random) -> io::Result<Made> {
    let any = |_: &Path, _: Sort| true;
    let no_link = |_: &Path, sort: Sort| sort != Sort::Symlink;
    let plain = |_: &Path, sort: Sort| matches!(sort, Sort::File | Sort::Directory);
    let path = match kind {
        Kind::Mode => index.pick_if(random, no_link),
        Kind::Xattr => index.pick_if(random, plain),
        _ => index.pick_if(random, any),
    };
    let Some(path) = path else { return Ok(None) };
    let found = path.symlink_metadata()?;
    match kind {
        Kind::Mode => {
            let flip = 1 << random.below(12);
            fs::set_permissions(&path, Permissions::from_mode(found.mode() & 0o7777 ^ flip))?;
        }
        Kind::Owner => {
            lchown(
                &path,
                Some(found.uid() ^ 1),
                Some(found.gid() ^ random.below(2) as u32),
            )?;
        }
        Kind::Time => {
            let nanoseconds = i64::from((random.bits() % 1_000_000_000) as u32);
            let time = TimeSpec::new(found.mtime() - random.below(100_000) as i64, nanoseconds);
            utimensat(
                AT_FDCWD,
                &path,
                &time,
                &time,
                UtimensatFlags::NoFollowSymlink,
            )?;
        }
        _ => {
            let name = b"user.change";
            if xattr::read(&path)?.contains_key(&name[..]) && random.below(2) == 0 {
                xattr::remove(&path, name)?;
            } else {
                xattr::set(&path, name, &random.bits().to_le_bytes())?;
            }
        }
    }
    Ok(Some((path, None)))
}

fn link(index: &mut Index, random: &mut Random) -> io::Result<Made> {
    let Some(from) = index.pick_if(random, |_, sort| sort != Sort::Directory) else {
        return Ok(None);
    };
    let place = index.pick_place(random);
    if place.as_os_str().len() > LONGEST_PATH {
        return Ok(None);
    }
    let to = index.new_name(&place);
    fs::hard_link(&from, &to)?;
    index.add(&to)?;
    Ok(Some((from, Some(to))))
}

/// Gives a name that shares its inode one of its own, with content, mode and time as before.
fn unlink(index: &mut Index, random: &mut Random) -> io::Result<Made> {
    let linked = |path: &Path, sort: Sort| {
        sort == Sort::File && path.symlink_metadata().is_ok_and(|found| found.nlink() > 1)
    };
    let Some(path) = index.pick_if(random, linked) else {
        return Ok(None);
    };
    let found = path.symlink_metadata()?;
    let Some(place) = path.parent() else {
        return Ok(None);
    };
    let copy = index.new_name(place);
    fs::copy(&path, &copy)?;
    let time = TimeSpec::new(found.mtime(), found.mtime_nsec());
    utimensat(
        AT_FDCWD,
        &copy,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )?;
    fs::rename(&copy, &path)?;
    Ok(Some((path, None)))
}

fn erase(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let mut content = vec![0; 1 + random.below(20_000)];
    random.fill(&mut content);
    content
}
