//! BLAKE3 of a file's content: what two hosts compare instead of the content itself.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::copy::next_extent;
use crate::watch::{Call, call};

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// Bytes that are read before they are hashed: they are in the processor's cache still.
const BLOCK: usize = 256 * 1024;

/// What holes are hashed as, without being read.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Hashes the first `size` bytes of a file, fewer if it has become shorter. Calls `hashed` with every count of
/// bytes; it returns false to cancel, and then there is no hash. `sparse` says that the file may have holes.
pub fn blake3_of(
    file: BorrowedFd<'_>,
    size: u64,
    sparse: bool,
    hashed: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Hash>, Errno> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BLOCK.min(usize::try_from(size).unwrap_or(BLOCK))];
    let mut at = 0;
    while at < size {
        let (start, end) = if sparse {
            next_extent(file, at, size)?.map_or((size, size), |(offset, n)| (offset, offset + n))
        } else {
            (at, size)
        };
        while at < start {
            let zeros = usize::try_from(start - at).unwrap_or(usize::MAX);
            let zeros = &ZEROS[..zeros.min(ZEROS.len())];
            hasher.update(zeros);
            at += zeros.len() as u64;
            if !hashed(zeros.len() as u64) {
                return Ok(None);
            }
        }
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX);
            let want = want.min(buffer.len());
            let read = call(Call::Read, file, || {
                rustix::io::pread(file, &mut buffer[..want], at)
            });
            match read {
                // Whoever asked looks whether the file has changed.
                Ok(0) => return Ok(Some(*hasher.finalize().as_bytes())),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    at += read as u64;
                    if !hashed(read as u64) {
                        return Ok(None);
                    }
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(Some(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests;
