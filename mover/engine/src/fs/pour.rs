//! Moving what lies in a pipe into a file, without a copy in the memory of this process.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::watch::{Call, call};

/// Moves `length` bytes, which lie in the pipe already, into a file at `offset`. Returns how many were moved: fewer where
/// the file cannot be written in this way; the rest is still in the pipe. After an error nothing is known of the pipe.
pub fn pour(
    pipe: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    length: usize,
    offset: u64,
) -> Result<usize, Errno> {
    let mut poured = 0;
    while poured < length {
        let mut at = offset + poured as u64;
        let moved = call(Call::Splice, to, || {
            splice(
                pipe,
                None,
                to,
                Some(&mut at),
                length - poured,
                SpliceFlags::MOVE,
            )
        });
        match moved {
            Ok(0) => return Err(Errno::IO),
            Ok(moved) => poured += moved,
            Err(Errno::INTR) => {}
            // Refused before anything was moved.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(poured)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::pour;

    #[test]
    fn what_lies_in_a_pipe_goes_to_its_place_in_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "..........").unwrap();
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"moved").unwrap();
        let poured = pour(read.as_fd(), file.as_file().as_fd(), 5, 3).unwrap();
        assert_eq!(poured, 5);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"...moved..");
    }

    #[test]
    fn where_it_cannot_be_moved_it_stays_in_the_pipe() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // The kernel refuses to splice to such a file, as it does where a file system cannot.
        let appending = OpenOptions::new().append(true).open(file.path()).unwrap();
        let (mut read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"still here").unwrap();
        drop(write);
        assert_eq!(pour(read.as_fd(), appending.as_fd(), 10, 0).unwrap(), 0);
        let mut left = String::new();
        std::io::Read::read_to_string(&mut read, &mut left).unwrap();
        assert_eq!(left, "still here");
        assert_eq!(std::fs::read(file.path()).unwrap(), b"");
    }

    #[test]
    fn an_error_of_the_file_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let unwritable = std::fs::File::open(file.path()).unwrap();
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"nowhere").unwrap();
        let poured = pour(read.as_fd(), unwritable.as_fd(), 7, 0);
        assert_eq!(poured, Err(rustix::io::Errno::BADF));
    }
}
