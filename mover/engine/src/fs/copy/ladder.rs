//! What is known of copying between one pair of file systems, and the ways in which the kernel copies by itself.
//!
//! Invariant: a way that was refused for good is not asked for again, and whatever a way did stays done.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::CopyError;
use crate::fs::pace::{Pace, aligned};
use crate::watch::{Call, call};

/// Bytes moved between two looks at the cancel switch.
const STRIDE: usize = 16 * 1024 * 1024;

/// What copies between one source and one destination file system; shared by all workers.
#[derive(Debug, Default)]
pub struct Ladder {
    no_reflink: AtomicBool,
    no_range: AtomicBool,
    no_sendfile: AtomicBool,
    pub(super) pace: Pace,
}

impl Ladder {
    /// Lets the destination share the blocks of the source, where both are on a file system that can. Returns whether it does.
    pub(super) fn clone_whole(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
    ) -> Result<bool, CopyError> {
        if self.no_reflink.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match call(Call::Clone, from, || rustix::fs::ioctl_ficlone(to, from)) {
            Ok(()) => Ok(true),
            Err(Errno::NOSPC | Errno::DQUOT) => Err(CopyError::Write(Errno::NOSPC)),
            // Files of one file system may differ in what they allow, but trying costs little
            // only where it can succeed at all.
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOSYS | Errno::NOTTY) => {
                self.no_reflink.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    /// Copies from `at` towards `end` in this way, as far as it goes; returns how far that was.
    pub(super) fn copy_by(
        &self,
        way: Way,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        mut at: u64,
        end: u64,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> Result<u64, CopyError> {
        let refused = match way {
            Way::Range => &self.no_range,
            Way::Sendfile => &self.no_sendfile,
        };
        if at == end || refused.load(Ordering::Relaxed) {
            return Ok(at);
        }
        let mut reading = self.pace.begin(from, end - at);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let copy = |stride| way.copy(from, to, at, stride);
            let stride = left.min(aligned(at, STRIDE));
            let copied = match way {
                // A server that copies by itself must not send us what it copies.
                Way::Range => reading.step(at, stride, copy),
                Way::Sendfile => reading.step_ahead(at, end, stride, copy),
            };
            match copied {
                // End of file, or a file system that cannot tell: reading shows which.
                Ok(0) => break,
                Ok(copied) => {
                    at += copied as u64;
                    if !moved(copied as u64) {
                        return Err(CopyError::Cancelled);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) => return Err(CopyError::Write(Errno::NOSPC)),
                Err(errno) => {
                    if way.is_refused_by(errno) {
                        refused.store(true, Ordering::Relaxed);
                    }
                    // Where it is about this file only (ETXTBSY, EIO …) the plain way says what is really wrong.
                    break;
                }
            }
        }
        Ok(at)
    }
}

/// How the kernel copies without our memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Within one file system, or on a server.
    Range,
    /// Between two: the pages of one are copied into the other, which is one copy of each less than reading and writing.
    Sendfile,
}

impl Way {
    fn copy(
        self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        at: u64,
        length: usize,
    ) -> Result<usize, Errno> {
        let mut read_at = at;
        match self {
            Self::Range => call(Call::CopyFileRange, from, || {
                let mut write_at = at;
                let (read_at, write_at) = (Some(&mut read_at), Some(&mut write_at));
                rustix::fs::copy_file_range(from, read_at, to, write_at, length)
            }),
            Self::Sendfile => {
                // It writes where the file stands.
                call(Call::Seek, to, || rustix::fs::seek(to, SeekFrom::Start(at)))?;
                call(Call::Sendfile, from, || {
                    rustix::fs::sendfile(to, from, Some(&mut read_at), length)
                })
            }
        }
    }

    /// Returns true for what says that the pair of file systems, or the sandbox, will never do it.
    fn is_refused_by(self, errno: Errno) -> bool {
        match errno {
            Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM => true,
            Errno::XDEV => self == Self::Range,
            // Of `copy_file_range` it is about the one file.
            Errno::INVAL => self == Self::Sendfile,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
