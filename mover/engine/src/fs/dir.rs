//! An open directory and what can be done to the names in it.

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Statx, StatxAttributes,
    StatxFlags, makedev,
};
use rustix::io::Errno;

use super::{Context, FsError};
use crate::entry::{Kind, Meta, Time};
use crate::watch::{Call, call, call_at};

/// Flags of every open: close on exec, and never through a symbolic link in the last component.
const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);
/// Set, it makes a program that was built with debug assertions follow symbolic links, so that a test can show
/// that the tests of swapped links would notice. Other programs do not know it.
#[cfg(debug_assertions)]
const FOLLOW: &str = "BLIT_TEST_FOLLOW_LINKS";
/// Mode of a directory while it is being filled: nobody else may look into it.
pub const MODE_PRIVATE_DIR: u32 = 0o700;
/// Mode of a file while it is being written.
pub const MODE_PRIVATE_FILE: u32 = 0o600;
/// Bytes read from a directory at once. 32 KiB holds about 1,000 names of ordinary length.
const DIRENT_BUFFER: usize = 32 * 1024;
/// `STATX_BASIC_STATS`, which holds all that [`Meta`] needs.
const STATX: StatxFlags = StatxFlags::BASIC_STATS;

/// A handle of an open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens a root that a person named: this one path is resolved as the kernel does, links included.
    pub fn open_root(path: &Path) -> Result<Self, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map(|fd| Self { fd })
            .context("open directory", || path.as_os_str().as_bytes().to_vec())
    }

    /// Opens a directory below this one by a path of several components, none of which may be a symbolic
    /// link, a `..` or a mount's magic link. With `create`, missing directories are made with mode 0755.
    pub fn beneath(&self, path: &Path, create: bool) -> Result<Self, FsError> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        if !create && !relative.as_os_str().is_empty() {
            let how = match follows_links() {
                true => ResolveFlags::empty(),
                false => {
                    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
                }
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.fd, relative, flags, Mode::empty(), how) {
                Ok(fd) => return Ok(Self { fd }),
                // Older kernels and some sandboxes lack openat2: one component after the other.
                Err(Errno::NOSYS | Errno::PERM) => {}
                Err(errno) => {
                    return Err(FsError::new(
                        "open directory",
                        path.as_os_str().as_bytes(),
                        errno,
                    ));
                }
            }
        }
        let named = || path.as_os_str().as_bytes().to_vec();
        let mut dir = self.reopen().context("open directory", named)?;
        for component in relative.components() {
            let name = match component {
                Component::Normal(name) => name.as_bytes(),
                Component::CurDir | Component::RootDir => continue,
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(FsError::new(
                        "open directory",
                        path.as_os_str().as_bytes(),
                        Errno::XDEV,
                    ));
                }
            };
            dir = match dir.open_dir(name) {
                Err(Errno::NOENT) if create => {
                    match dir.mkdir(name, 0o755) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(errno).context("make directory", named),
                    }
                    dir.open_dir(name)
                }
                other => other,
            }
            .context("open directory", named)?;
        }
        Ok(dir)
    }

    /// Opens this directory again: a handle with a read position of its own.
    pub fn reopen(&self) -> Result<Self, Errno> {
        self.open_at(c".")
    }

    /// Opens the directory that contains this one.
    pub fn parent(&self) -> Result<Self, Errno> {
        self.open_at(c"..")
    }

    /// Opens a directory in this one.
    pub fn open_dir(&self, name: &[u8]) -> Result<Self, Errno> {
        self.open_at(&c_name(name)?)
    }

    fn open_at(&self, name: &CStr) -> Result<Self, Errno> {
        let flags = open_flags() | OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = call_at(Call::Open, self.as_fd(), name.to_bytes(), || {
            rustix::fs::openat(&self.fd, name, flags, Mode::empty())
        });
        opened.map(|fd| Self { fd })
    }

    /// Opens a file for reading. Does not block on a FIFO that took the place of a file.
    pub fn open_file(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = open_flags() | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_name(name, flags, Mode::empty())
    }

    /// Opens a file for reading and writing, as an exclusive lock on NFS needs it.
    pub fn open_file_to_lock(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = open_flags() | OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_name(name, flags, Mode::empty())
    }

    /// Opens a name of any kind only to refer to its inode (`O_PATH`).
    pub fn open_path(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        self.open_name(name, open_flags() | OFlags::PATH, Mode::empty())
    }

    fn open_name(&self, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let c_name = c_name(name)?;
        call_at(Call::Open, self.as_fd(), name, || {
            rustix::fs::openat(&self.fd, &*c_name, flags, mode)
        })
    }

    /// Creates a file that did not exist, for writing.
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
        let flags = open_flags() | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_name(name, flags, Mode::from_raw_mode(mode))
    }

    /// Returns the attributes of a name, without following it.
    pub fn stat(&self, name: &[u8]) -> Result<Meta, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let c_name = c_name(name)?;
        call_at(Call::Stat, self.as_fd(), name, || {
            rustix::fs::statx(&self.fd, &*c_name, flags, STATX)
        })
        .and_then(|s| meta(&s))
    }

    /// Returns the attributes of the directory itself.
    pub fn stat_self(&self) -> Result<Meta, Errno> {
        stat_fd(self.fd.as_fd())
    }

    /// Returns the id of the mount the directory is on, and 0 where the kernel does not tell (before 5.8).
    pub fn mount_id(&self) -> Result<u64, Errno> {
        let s = rustix::fs::statx(&self.fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        Ok(s.stx_mnt_id)
    }

    /// Returns true if names can be added to the directory and none be taken away (`chattr +a`).
    pub fn is_append_only(&self) -> bool {
        let found = rustix::fs::statx(&self.fd, c"", AtFlags::EMPTY_PATH, StatxFlags::empty());
        found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::APPEND))
    }

    /// Returns the target of a symbolic link.
    pub fn read_link(&self, name: &[u8]) -> Result<Box<[u8]>, Errno> {
        let c_name = c_name(name)?;
        let target = call_at(Call::Readlink, self.as_fd(), name, || {
            rustix::fs::readlinkat(&self.fd, &*c_name, Vec::with_capacity(256))
        })?;
        Ok(target.into_bytes().into())
    }

    /// Calls `each` with every name (without `.` and `..`) from the read position on, until it returns false.
    pub fn read_names(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
        self.read_entries(|name, _| each(name))
    }

    /// The same with what the file system says at once of each name's kind. Some always say that they do not know, and
    /// the name can be of another kind by the time it is looked at.
    pub fn read_entries(&self, mut each: impl FnMut(&[u8], FileType) -> bool) -> Result<(), Errno> {
        let mut goes_on = true;
        while goes_on && self.read_buffer(|name, kind| goes_on = goes_on && each(name, kind))? {}
        Ok(())
    }

    /// Calls `each` with the names (without `.` and `..`) that one call reads from the read position on, which can be
    /// none. Returns false at the end of the directory.
    pub(super) fn read_buffer(&self, mut each: impl FnMut(&[u8], FileType)) -> Result<bool, Errno> {
        let mut buffer = [MaybeUninit::uninit(); DIRENT_BUFFER];
        let mut names = RawDir::new(&self.fd, &mut buffer);
        let mut next = call(Call::Getdents, self.as_fd(), || names.next());
        while let Some(entry) = next {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                each(name, entry.file_type());
            }
            // The next one would be another call.
            if names.is_buffer_empty() {
                return Ok(true);
            }
            next = names.next();
        }
        Ok(false)
    }

    /// Makes a directory.
    pub fn mkdir(&self, name: &[u8], mode: u32) -> Result<(), Errno> {
        let c_name = c_name(name)?;
        call_at(Call::Mkdir, self.as_fd(), name, || {
            rustix::fs::mkdirat(&self.fd, &*c_name, Mode::from_raw_mode(mode))
        })
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: &[u8], name: &[u8]) -> Result<(), Errno> {
        let target = CString::new(target).map_err(|_| Errno::INVAL)?;
        let c_name = c_name(name)?;
        call_at(Call::Symlink, self.as_fd(), name, || {
            rustix::fs::symlinkat(&*target, &self.fd, &*c_name)
        })
    }

    /// Makes a FIFO, socket or device node.
    pub fn make_node(
        &self,
        name: &[u8],
        kind: Kind,
        mode: u32,
        rdev: (u32, u32),
    ) -> Result<(), Errno> {
        let kind = match kind {
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::File | Kind::Directory | Kind::Symlink => return Err(Errno::INVAL),
        };
        let dev = makedev(rdev.0, rdev.1);
        let (c_name, mode) = (c_name(name)?, Mode::from_raw_mode(mode));
        call_at(Call::Mknod, self.as_fd(), name, || {
            rustix::fs::mknodat(&self.fd, &*c_name, kind, mode, dev)
        })
    }

    /// Gives the inode that is `from` in `from_dir` one more name here.
    pub fn link_from(&self, from_dir: &Self, from: &[u8], name: &[u8]) -> Result<(), Errno> {
        let (c_from, c_name) = (c_name(from)?, c_name(name)?);
        call_at(Call::Link, self.as_fd(), name, || {
            rustix::fs::linkat(&from_dir.fd, &*c_from, &self.fd, &*c_name, AtFlags::empty())
        })
    }

    /// Renames within the directory, replacing what has the new name.
    pub fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        self.rename_from(self, from, to)
    }

    /// Moves what is `from` in `from_dir` here, replacing what has the new name.
    pub fn rename_from(&self, from_dir: &Self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let (c_from, c_to) = (c_name(from)?, c_name(to)?);
        call_at(Call::Rename, self.as_fd(), to, || {
            rustix::fs::renameat(&from_dir.fd, &*c_from, &self.fd, &*c_to)
        })
    }

    /// Renames within the directory unless the new name exists. Where the file system cannot tell, an
    /// ordinary rename is done: of a directory it replaces at most an empty one.
    pub fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        match self.rename_with(from, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => self.rename(from, to),
            other => other,
        }
    }

    /// Swaps two names atomically.
    pub fn exchange(&self, a: &[u8], b: &[u8]) -> Result<(), Errno> {
        self.rename_with(a, b, RenameFlags::EXCHANGE)
    }

    fn rename_with(&self, from: &[u8], to: &[u8], flags: RenameFlags) -> Result<(), Errno> {
        let (c_from, c_to) = (c_name(from)?, c_name(to)?);
        call_at(Call::Rename, self.as_fd(), to, || {
            rustix::fs::renameat_with(&self.fd, &*c_from, &self.fd, &*c_to, flags)
        })
    }

    /// Removes a name that is not a directory.
    pub fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let c_name = c_name(name)?;
        call_at(Call::Unlink, self.as_fd(), name, || {
            rustix::fs::unlinkat(&self.fd, &*c_name, AtFlags::empty())
        })
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        let c_name = c_name(name)?;
        call_at(Call::Rmdir, self.as_fd(), name, || {
            rustix::fs::unlinkat(&self.fd, &*c_name, AtFlags::REMOVEDIR)
        })
    }

    /// Writes all that the file system of this directory holds in memory to its device.
    pub fn sync_filesystem(&self) -> Result<(), Errno> {
        call(Call::Sync, self.as_fd(), || rustix::fs::syncfs(&self.fd))
    }
}

fn open_flags() -> OFlags {
    match follows_links() {
        true => OPEN.difference(OFlags::NOFOLLOW),
        false => OPEN,
    }
}

#[cfg(debug_assertions)]
fn follows_links() -> bool {
    static FOLLOWS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *FOLLOWS.get_or_init(|| std::env::var_os(FOLLOW).is_some())
}

#[cfg(not(debug_assertions))]
const fn follows_links() -> bool {
    false
}

/// Returns the attributes of an open file of any kind.
pub fn stat_fd(fd: BorrowedFd<'_>) -> Result<Meta, Errno> {
    call(Call::Stat, fd, || {
        rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, STATX)
    })
    .and_then(|s| meta(&s))
}

/// Returns a path for messages.
pub fn display_path(path: &Path) -> String {
    crate::entry::Escaped(OsStr::as_bytes(path.as_os_str())).to_string()
}

/// A name with its terminating NUL, on the stack: a name has at most 255 bytes (`NAME_MAX`).
pub(super) struct CName {
    bytes: [u8; 256],
    length: usize,
}

impl std::ops::Deref for CName {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=self.length]).unwrap_or(c"")
    }
}

pub(super) fn c_name(name: &[u8]) -> Result<CName, Errno> {
    if name.len() > 255 {
        return Err(Errno::NAMETOOLONG);
    }
    if name.contains(&0) || name.contains(&b'/') {
        return Err(Errno::INVAL);
    }
    let mut bytes = [0; 256];
    bytes[..name.len()].copy_from_slice(name);
    Ok(CName {
        bytes,
        length: name.len(),
    })
}

fn meta(s: &Statx) -> Result<Meta, Errno> {
    let mode = u32::from(s.stx_mode);
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Unknown => return Err(Errno::INVAL),
    };
    Ok(Meta {
        kind,
        mode: mode & 0o7777,
        uid: s.stx_uid,
        gid: s.stx_gid,
        size: s.stx_size,
        blocks: s.stx_blocks,
        mtime: Time {
            seconds: s.stx_mtime.tv_sec,
            nanoseconds: s.stx_mtime.tv_nsec,
        },
        ctime: Time {
            seconds: s.stx_ctime.tv_sec,
            nanoseconds: s.stx_ctime.tv_nsec,
        },
        rdev: if kind.is_device() {
            (s.stx_rdev_major, s.stx_rdev_minor)
        } else {
            (0, 0)
        },
        dev: (s.stx_dev_major, s.stx_dev_minor),
        ino: s.stx_ino,
        nlink: s.stx_nlink,
    })
}
