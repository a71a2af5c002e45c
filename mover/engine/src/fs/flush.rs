//! Writing to the device what lies in memory of a file.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::syscall::sync_file_range;
use crate::watch::{Call, call};

/// Begins to write a range, and does not wait until it is on the device (it may wait for room in the device's queue).
pub fn begin(file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    call(Call::Sync, file, || sync_file_range(file, offset, length))
}
