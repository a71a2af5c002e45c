//! What this kernel, this sandbox and one directory's file system allow: every call is made and its answer
//! reported, nothing is concluded from versions.
//!
//! Invariant: what is made for that lies in one directory of mode 0700 with a name of its own, and is removed.
//!
//! Non-goals: deciding. A run finds out by itself what it can use, each time.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, ResolveFlags, SeekFrom, StatxFlags, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::{Dir, syscall};
use crate::entry::{Kind, Time};
use crate::fs::pin::Pin;

/// Begin of the name of the directory that a probe works in.
pub const WORK_DIR_PREFIX: &str = ".blit.probe-";

/// Name that is none; the kernel answers before it looks for it.
const SELF: &std::ffi::CStr = c".";
/// A user and group that the process is not.
const STRANGER: u32 = 12_345;
/// Bytes of the files that are made.
const CONTENT: [u8; 4096] = [b'x'; 4096];

/// What a probe asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// `openat2`.
    OpenAt2,
    /// `listxattrat`.
    ListXattrAt,
    /// `statx` tells the id of a mount.
    MountId,
    /// `FICLONE` within the directory.
    Clone,
    /// `copy_file_range` within the directory.
    CopyFileRange,
    /// Holes can be made and found.
    Holes,
    /// `O_TMPFILE`.
    TmpFile,
    /// `renameat2` refuses to replace, and exchanges.
    RenameFlags,
    /// Times are kept in nanoseconds.
    Nanoseconds,
    /// A file can be given to another user.
    Chown,
    /// A device can be made.
    Mknod,
    /// `user.*` attributes.
    UserXattr,
    /// `trusted.*` attributes.
    TrustedXattr,
}

/// The answer to a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It works.
    Yes,
    /// It does not; the kernel's reason if it gave one.
    No(Option<Errno>),
    /// It could not be tried, because nothing can be made in the directory.
    Untried(Errno),
}

/// Makes every check in and on the directory. `unique` makes the name of the folder for it.
pub fn probe(dir: &Dir, unique: &str) -> Vec<(Check, Answer)> {
    let mut found = vec![
        (Check::OpenAt2, answer(open_at2(dir))),
        (Check::ListXattrAt, answer(list_xattr_at(dir))),
        (Check::MountId, mount_id(dir)),
    ];
    let name = format!("{WORK_DIR_PREFIX}{unique}");
    let made = dir.mkdir(name.as_bytes(), 0o700);
    let work = made.and_then(|()| Area::new(dir.open_dir(name.as_bytes())?));
    let checks: [(Check, Try); 10] = [
        (Check::Clone, clone),
        (Check::CopyFileRange, copy_file_range),
        (Check::Holes, holes),
        (Check::TmpFile, tmp_file),
        (Check::RenameFlags, rename_flags),
        (Check::Nanoseconds, nanoseconds),
        (Check::Chown, chown),
        (Check::Mknod, mknod),
        (Check::UserXattr, |area| xattr(area, "user.blit.probe")),
        (Check::TrustedXattr, |area| {
            xattr(area, "trusted.blit.probe")
        }),
    ];
    for (check, make) in checks {
        let answer = match &work {
            Ok(area) => make(area),
            Err(errno) => Answer::Untried(*errno),
        };
        found.push((check, answer));
    }
    if made.is_ok() {
        if let Ok(work) = dir.open_dir(name.as_bytes()) {
            for name in [A, B, NODE] {
                let _ = work.unlink(name);
            }
        }
        let _ = dir.rmdir(name.as_bytes());
    }
    found
}

/// Tries something in an area.
type Try = fn(&Area) -> Answer;

const A: &[u8] = b"a";
const B: &[u8] = b"b";
const NODE: &[u8] = b"node";

/// A directory with two files: one with content, one without.
struct Area {
    dir: Dir,
    a: OwnedFd,
    b: OwnedFd,
}

impl Area {
    fn new(dir: Dir) -> Result<Self, Errno> {
        drop(dir.create_file(A, 0o600)?);
        // For reading, too: that is what content is copied from.
        let a = dir.open_file_to_lock(A)?;
        super::copy::write_all_at(a.as_fd(), &CONTENT, 0)?;
        let b = dir.create_file(B, 0o600)?;
        Ok(Self { dir, a, b })
    }
}

fn answer(tried: Result<(), Errno>) -> Answer {
    match tried {
        Ok(()) => Answer::Yes,
        Err(errno) => Answer::No(Some(errno)),
    }
}

fn yes_if(holds: bool) -> Answer {
    if holds { Answer::Yes } else { Answer::No(None) }
}

fn open_at2(dir: &Dir) -> Result<(), Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(dir, SELF, flags, Mode::empty(), how).map(drop)
}

fn list_xattr_at(dir: &Dir) -> Result<(), Errno> {
    match syscall::list_xattr_at(dir.as_fd(), SELF, &mut []) {
        // The call is there; this file system has no attributes.
        Ok(_) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn mount_id(dir: &Dir) -> Answer {
    match rustix::fs::statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(found) => yes_if(found.stx_mask & StatxFlags::MNT_ID.bits() != 0),
        Err(errno) => Answer::No(Some(errno)),
    }
}

fn clone(area: &Area) -> Answer {
    answer(rustix::fs::ioctl_ficlone(&area.b, &area.a))
}

fn copy_file_range(area: &Area) -> Answer {
    let (mut from, mut to) = (0, 0);
    let length = CONTENT.len();
    match rustix::fs::copy_file_range(&area.a, Some(&mut from), &area.b, Some(&mut to), length) {
        Ok(copied) => yes_if(copied == length),
        Err(errno) => Answer::No(Some(errno)),
    }
}

fn holes(area: &Area) -> Answer {
    let length = CONTENT.len() as u64;
    let found = rustix::fs::ftruncate(&area.a, 1 << 20)
        .and_then(|()| rustix::fs::seek(&area.a, SeekFrom::Hole(0)));
    match found {
        // The block that holds the content may be larger than it.
        Ok(hole) => yes_if((length..1 << 20).contains(&hole)),
        Err(errno) => Answer::No(Some(errno)),
    }
}

fn tmp_file(area: &Area) -> Answer {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    answer(rustix::fs::openat(&area.dir, SELF, flags, Mode::RUSR).map(drop))
}

fn rename_flags(area: &Area) -> Answer {
    let rename = |flags| rustix::fs::renameat_with(&area.dir, A, &area.dir, B, flags);
    match rename(RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => answer(rename(RenameFlags::EXCHANGE)),
        Ok(()) => Answer::No(None),
        Err(errno) => Answer::No(Some(errno)),
    }
}

fn nanoseconds(area: &Area) -> Answer {
    let time = Time {
        seconds: 1_000_000_000,
        nanoseconds: 123_456_789,
    };
    let kept = Pin::Open(area.b.as_fd())
        .set_mtime(time)
        .and_then(|()| super::dir::stat_fd(area.b.as_fd()));
    match kept {
        Ok(meta) => yes_if(meta.mtime == time),
        Err(errno) => Answer::No(Some(errno)),
    }
}

fn chown(area: &Area) -> Answer {
    let (uid, gid) = (Uid::from_raw(STRANGER), Gid::from_raw(STRANGER));
    answer(rustix::fs::fchown(&area.b, Some(uid), Some(gid)))
}

fn mknod(area: &Area) -> Answer {
    // The numbers of /dev/null; who may open it can do no harm.
    answer(area.dir.make_node(NODE, Kind::CharDevice, 0o600, (1, 3)))
}

fn xattr(area: &Area, name: &str) -> Answer {
    answer(rustix::fs::fsetxattr(
        &area.a,
        name,
        b"1",
        XattrFlags::empty(),
    ))
}
