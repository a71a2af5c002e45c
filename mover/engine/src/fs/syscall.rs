//! Raw system calls that the libraries do not wrap: `sync_file_range`, and the `*xattrat` family of Linux 6.13.
//!
//! The latter take a directory handle and a name, so that attributes of a file can be read without opening it
//! and without a path. Numbers are the same on x86-64 and arm64.
#![expect(unsafe_code, reason = "the system-call layer")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::io::Errno;

const SYS_GETXATTRAT: libc::c_long = 464;
const SYS_LISTXATTRAT: libc::c_long = 465;

/// `struct xattr_args` of `linux/xattr.h`.
#[repr(C, align(8))]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

/// Returns true if `fd` can be written to without waiting. A number that is no handle can not.
pub(super) fn is_writable(fd: RawFd) -> bool {
    let mut asked = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: `asked` is one writable `pollfd` that outlives the call; the kernel checks the number.
    let ready = unsafe { libc::poll(&raw mut asked, 1, 0) };
    ready == 1 && asked.revents & libc::POLLOUT != 0
}

/// Has a range of a file that lies in memory written to its device, without waiting until it is there.
pub(super) fn sync_file_range(file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    let range = |value: u64| value.try_into().map_err(|_| Errno::INVAL);
    let (offset, length) = (range(offset)?, range(length)?);
    // SAFETY: numbers only, and a handle that is open during the call.
    let returned = unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            offset,
            length,
            libc::SYNC_FILE_RANGE_WRITE,
        )
    };
    match returned {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

/// Lists the attribute names of `name` in `dir` without following it; returns how many bytes they take.
pub(super) fn list_xattr_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    list: &mut [u8],
) -> Result<usize, Errno> {
    // SAFETY: `name` is a C string and `list` a writable buffer of the length passed; both outlive the call.
    let returned = unsafe {
        libc::syscall(
            SYS_LISTXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            list.as_mut_ptr(),
            list.len(),
        )
    };
    length(returned)
}

/// Reads the value of one attribute of `name` in `dir` without following it.
pub(super) fn get_xattr_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    attribute: &CStr,
    value: &mut [u8],
) -> Result<usize, Errno> {
    let mut args = XattrArgs {
        value: value.as_mut_ptr() as u64,
        size: u32::try_from(value.len()).unwrap_or(u32::MAX),
        flags: 0,
    };
    // SAFETY: both names are C strings, `args` points to a writable buffer of the size it states, and all
    // of them outlive the call.
    let returned = unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            std::ptr::from_mut(&mut args),
            size_of::<XattrArgs>(),
        )
    };
    length(returned)
}

fn length(returned: libc::c_long) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| last_error())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
