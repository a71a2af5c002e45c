//! The names of a directory one at a time.

use rustix::io::Errno;

use super::Dir;

/// Reads a directory, and can be put aside at any name: what was read and not yet asked for is kept here.
#[derive(Debug)]
pub struct Names {
    dir: Dir,
    /// Names as they were read, each with a NUL behind it.
    read: Vec<u8>,
    /// Where in there the next one begins.
    at: usize,
}

impl Names {
    /// Reads on a handle of its own, because the read position belongs to the handle.
    pub fn of(dir: &Dir) -> Result<Self, Errno> {
        Ok(Self {
            dir: dir.reopen()?,
            read: Vec::new(),
            at: 0,
        })
    }

    /// Returns the next name (never `.` or `..`), and `None` at the end of the directory.
    pub fn next_name(&mut self) -> Result<Option<&[u8]>, Errno> {
        // What one call reads can be dots only, which some file systems tell last.
        while self.at == self.read.len() {
            self.at = 0;
            self.read.clear();
            let read = &mut self.read;
            let more = self.dir.read_buffer(|name, _| {
                read.extend_from_slice(name);
                read.push(0);
            })?;
            if !more {
                return Ok(None);
            }
        }
        let rest = &self.read[self.at..];
        let length = rest.iter().position(|byte| *byte == 0);
        let length = length.unwrap_or(rest.len());
        self.at += length + 1;
        Ok(Some(&rest[..length]))
    }
}
