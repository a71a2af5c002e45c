//! Files that have no name until they are whole (`O_TMPFILE`): where a directory can be seen while it is filled, the other way
//! to show no half of a file is a temporary name, and a rename from one name to another changes the directory three times.
//!
//! Only where it is known to be cheaper: making 100,000 small files in one directory took 4.2 s of processor time and not 6.2 s on
//! ext4, with and without its orphan file, and 3.7 and not 5.4 s on xfs, where of a large directory folders are cheaper still
//! (`apply/folders`). There a file holds more than its content until that is written
//! back, and a device that is full of this refuses files without a name, where for one with a name it writes back and looks again:
//! who makes them has to go on with names.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FsWord, Mode, OFlags};
use rustix::io::Errno;

use super::Dir;
use super::dir::c_name;
use crate::watch::{Call, call_at};

/// `EXT4_SUPER_MAGIC` and `XFS_SUPER_MAGIC` of `linux/magic.h`.
const CHEAPER: [FsWord; 2] = [0xEF53, 0x5846_5342];
/// Up to this size a name is a part of what a file costs, in bytes. Of a larger one that is cut off, a name keeps what has arrived.
const LARGEST: u64 = 1 << 20;

/// Returns true if a file of this size is made without a name where that works.
pub fn suits(size: u64) -> bool {
    size <= LARGEST
}

/// Returns true if files are made cheaper without a name in this directory, and can be given one. Then `name` is taken, and is to
/// be removed again.
///
/// That is tried: whether a file without a name can be given one depends on the kernel, the rights of the process and on `/proc`.
pub fn works_in(dir: &Dir, name: &[u8]) -> bool {
    let is_cheaper = || rustix::fs::fstatfs(dir).is_ok_and(|found| CHEAPER.contains(&found.f_type));
    let tried = || create(dir, name, 0o600).and_then(|fd| link(fd.as_fd(), dir, name));
    is_cheaper() && tried().is_ok()
}

/// Creates a file for writing that goes with its handle, unless it gets a name; `name` is the one that it is to get, and only told
/// to who asks what takes so long.
pub fn create(dir: &Dir, name: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    call_at(Call::Open, dir.as_fd(), name, || {
        rustix::fs::openat(dir, c".", flags, Mode::from_raw_mode(mode))
    })
}

/// Gives a file without a name its first one. [`Errno::EXIST`] if something has that name.
pub fn link(file: BorrowedFd<'_>, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    let c_name = c_name(name)?;
    call_at(Call::Link, dir.as_fd(), name, || {
        match rustix::fs::linkat(file, c"", dir, &*c_name, AtFlags::EMPTY_PATH) {
            // Before Linux 6.10 this way needs CAP_DAC_READ_SEARCH.
            Err(Errno::NOENT) => {
                let own = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
                let follow = AtFlags::SYMLINK_FOLLOW;
                rustix::fs::linkat(rustix::fs::CWD, own, dir, &*c_name, follow)
            }
            linked => linked,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_memory() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let dir = Dir::open_root(place.path()).unwrap();
        (place, dir)
    }

    #[test]
    fn a_file_is_nowhere_until_it_has_a_name_and_there_whole() {
        let (place, dir) = in_memory();
        let names = || std::fs::read_dir(place.path()).unwrap().count();
        let file = create(&dir, b"name", 0o640).unwrap();
        rustix::io::write(&file, b"content").unwrap();
        assert_eq!(names(), 0);
        link(file.as_fd(), &dir, b"name").unwrap();
        assert_eq!(
            std::fs::read(place.path().join("name")).unwrap(),
            b"content"
        );
        drop(create(&dir, b"name", 0o640).unwrap());
        assert_eq!(names(), 1);
    }

    #[test]
    fn what_has_the_name_stays() {
        let (place, dir) = in_memory();
        std::fs::write(place.path().join("name"), "of somebody else").unwrap();
        let file = create(&dir, b"name", 0o600).unwrap();
        assert_eq!(link(file.as_fd(), &dir, b"name"), Err(Errno::EXIST));
        assert_eq!(
            std::fs::read(place.path().join("name")).unwrap(),
            b"of somebody else"
        );
    }

    #[test]
    fn it_is_not_done_where_it_is_not_known_to_be_cheaper() {
        let (place, dir) = in_memory();
        assert!(!works_in(&dir, b"not taken"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
