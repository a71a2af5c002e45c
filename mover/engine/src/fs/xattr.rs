//! Extended attributes, POSIX ACLs among them as opaque values.
//!
//! Kept: `user.*`, `trusted.*`, `security.*` and the two `system.posix_acl_*`. Left alone, on either
//! side: `security.selinux`, `security.ima`, `security.evm` (they describe the host, not the file) and
//! name spaces we do not know.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::dir::Dir;
use super::syscall;
use crate::entry::Xattrs;
use crate::watch::{Call, call, call_at};

/// Attribute that holds the access ACL.
pub const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// Attribute that holds the default ACL of a directory.
pub const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// Attribute that holds file capabilities.
pub const CAPABILITY: &[u8] = b"security.capability";

/// Upper bounds of Linux: `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
const LIST_MAX: usize = 65_536;
const VALUE_MAX: usize = 65_536;

/// Set once the kernel said that it has no `listxattrat`.
static NO_XATTRAT: AtomicBool = AtomicBool::new(false);

/// Returns true for attributes that belong to the file and are therefore copied.
pub fn is_kept(name: &[u8]) -> bool {
    if let Some(rest) = name.strip_prefix(b"security.") {
        return !matches!(rest, b"selinux" | b"ima" | b"evm");
    }
    if let Some(rest) = name.strip_prefix(b"trusted.") {
        // xfs lists its ACLs a second time, under names of its own: removing one removes the ACL.
        return !matches!(rest, b"SGI_ACL_FILE" | b"SGI_ACL_DEFAULT");
    }
    name.starts_with(b"user.") || name == ACL_ACCESS || name == ACL_DEFAULT
}

/// Reads the attributes of a name in a directory, without following or opening it.
pub fn of_name(dir: &Dir, name: &[u8]) -> Result<Xattrs, Errno> {
    call_at(Call::Getxattr, dir.as_fd(), name, || read_name(dir, name))
}

fn read_name(dir: &Dir, name: &[u8]) -> Result<Xattrs, Errno> {
    let c_name = CString::new(name).map_err(|_| Errno::INVAL)?;
    if !NO_XATTRAT.load(Ordering::Relaxed) {
        let found = collect(
            |list| syscall::list_xattr_at(dir.as_fd(), &c_name, list),
            |attribute, value| syscall::get_xattr_at(dir.as_fd(), &c_name, attribute, value),
        );
        match found {
            // EPERM is what some sandboxes answer to calls they do not know.
            Err(Errno::NOSYS | Errno::PERM) => NO_XATTRAT.store(true, Ordering::Relaxed),
            other => return other,
        }
    }
    let mut path = format!("/proc/thread-self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    collect(
        |list| rustix::fs::llistxattr(&*path, list),
        |attribute, value| rustix::fs::lgetxattr(&*path, attribute, value),
    )
}

/// Reads the attributes of an open file or directory.
pub fn of_fd(fd: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    call(Call::Getxattr, fd, || {
        collect(
            |list| rustix::fs::flistxattr(fd, list),
            |attribute, value| rustix::fs::fgetxattr(fd, attribute, value),
        )
    })
}

/// Sets one attribute of an open file or directory.
pub fn set_fd(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    call(Call::Setxattr, fd, || {
        rustix::fs::fsetxattr(fd, &*name, value, XattrFlags::empty())
    })
}

/// Removes one attribute of an open file or directory.
pub fn remove_fd(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    call(Call::Setxattr, fd, || rustix::fs::fremovexattr(fd, &*name))
}

/// Reads the attributes of an inode held by an `O_PATH` handle, through its link in `/proc`.
pub fn of_path_fd(fd: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let path = proc_path(fd)?;
    collect(
        |list| rustix::fs::listxattr(&*path, list),
        |attribute, value| rustix::fs::getxattr(&*path, attribute, value),
    )
}

/// Sets one attribute of an inode held by an `O_PATH` handle.
pub fn set_path_fd(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    rustix::fs::setxattr(&*proc_path(fd)?, &*name, value, XattrFlags::empty())
}

/// Removes one attribute of an inode held by an `O_PATH` handle.
pub fn remove_path_fd(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    rustix::fs::removexattr(&*proc_path(fd)?, &*name)
}

/// Returns the link of a handle in `/proc`; `thread-self`, because a thread may have handles of its own.
pub(super) fn proc_path(fd: BorrowedFd<'_>) -> Result<CString, Errno> {
    CString::new(format!("/proc/thread-self/fd/{}", fd.as_raw_fd())).map_err(|_| Errno::INVAL)
}

/// Lists names, then reads the values of those that are kept. Returns an empty set where the file system
/// has no attributes at all.
fn collect(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>,
) -> Result<Xattrs, Errno> {
    let mut small = [0; 512];
    let mut large = Vec::new();
    let names: &[u8] = match list(&mut small) {
        Ok(length) => &small[..length],
        Err(Errno::RANGE) => {
            large.resize(LIST_MAX, 0);
            let length = list(&mut large)?;
            &large[..length]
        }
        Err(Errno::OPNOTSUPP) => &[],
        Err(errno) => return Err(errno),
    };
    let mut found = Vec::new();
    for name in names.split_inclusive(|b| *b == 0) {
        let Ok(c_name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if !is_kept(c_name.to_bytes()) {
            continue;
        }
        match value(c_name, &get) {
            Ok(value) => found.push((c_name.to_bytes().into(), value)),
            // Removed since it was listed, or hidden from us.
            Err(Errno::NODATA | Errno::PERM | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    found.sort();
    Ok(Xattrs(found))
}

fn value(
    name: &CStr,
    get: &impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>,
) -> Result<Box<[u8]>, Errno> {
    let mut small = [0; 1024];
    match get(name, &mut small) {
        Ok(length) => Ok(small[..length].into()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; VALUE_MAX];
            let length = get(name, &mut large)?;
            Ok(large[..length].into())
        }
        Err(errno) => Err(errno),
    }
}
