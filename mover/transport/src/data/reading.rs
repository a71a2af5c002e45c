//! Reading what a stream has announced: however the file turns out, as many bytes are sent.

use std::os::fd::BorrowedFd;

use blit_engine::run::ReadStatus;
use blit_engine::watch::{Call, call};
use rustix::io::Errno;

/// Reads once from `position` into `part`, as much as comes; returns how much of `part` is to be sent. Once something was wrong
/// with the file, which is kept in `problem`, the rest is zeros.
pub(crate) fn read_on(
    file: BorrowedFd<'_>,
    position: u64,
    part: &mut [u8],
    problem: &mut Option<ReadStatus>,
) -> usize {
    if problem.is_some() {
        part.fill(0);
        return part.len();
    }
    match call(Call::Read, file, || {
        rustix::io::pread(file, &mut *part, position)
    }) {
        // The file is shorter than it was.
        Ok(0) => *problem = Some(ReadStatus::Changed),
        Ok(count) => return count,
        Err(Errno::INTR) => {}
        Err(errno) => *problem = Some(unreadable(errno)),
    }
    0
}

/// Returns what is said of a file that cannot be read.
pub(crate) fn unreadable(errno: Errno) -> ReadStatus {
    ReadStatus::Failed(format!("cannot read: {errno}"))
}
