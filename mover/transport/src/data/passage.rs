//! The way of content from a socket to its file through a pipe: the kernel moves pages, and nothing is copied into the
//! memory of this process.
//!
//! Invariant: between two calls the pipe is empty. Where the kernel, the sandbox, the stream or the file system refuses, the
//! content takes the way through memory, without loss.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use blit_engine::run::Incoming;
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

use super::FrameStream;

/// Bytes that a pipe is to hold: what `/proc/sys/fs/pipe-max-size` allows everybody unless it was changed.
const PIPE_BYTES: usize = 1 << 20;

/// With less than this left of a piece it is copied: two calls are to pay. (Chosen, not measured.)
const WORTH: usize = 64 << 10;

/// What comes in pieces smaller than this, so many times one after the other, is better gathered in memory: a slow network
/// brings a packet at a time, and each would be written alone. (Chosen, not measured.)
const DRIBBLE: (usize, u32) = (16 << 10, 8);

/// The way of one stream.
#[derive(Default)]
pub(crate) struct Passage {
    pipe: Option<Pipe>,
    refused: bool,
    dribbles: u32,
}

struct Pipe {
    read: io::PipeReader,
    write: OwnedFd,
    capacity: usize,
}

impl Passage {
    /// A piece begins: whether the network dribbles is found anew.
    pub(crate) fn begin(&mut self) {
        self.dribbles = 0;
    }

    /// Moves up to `left` bytes from the stream to `offset` of a file; returns how many. `None`: nothing was moved, and what
    /// comes next is to be copied. An error is one of the stream; one of the file stays with the file.
    pub(crate) fn carry(
        &mut self,
        stream: &mut dyn FrameStream,
        incoming: &Incoming,
        offset: u64,
        left: usize,
    ) -> io::Result<Option<usize>> {
        if self.refused || left < WORTH || self.dribbles >= DRIBBLE.1 {
            return Ok(None);
        }
        if self.pipe.is_none() {
            self.pipe = Pipe::new().ok();
        }
        let Some(pipe) = &mut self.pipe else {
            self.refused = true;
            return Ok(None);
        };
        let Some(moved) = stream.splice(pipe.write.as_fd(), left.min(pipe.capacity))? else {
            self.refused = true;
            return Ok(None);
        };
        if moved < DRIBBLE.0 {
            self.dribbles += 1;
        } else {
            self.dribbles = 0;
        }
        match incoming.pour(pipe.read.as_fd(), moved, offset) {
            Ok(poured) if poured == moved => {}
            Ok(poured) => {
                self.refused = true;
                let mut rest = vec![0; moved - poured];
                pipe.read.read_exact(&mut rest)?;
                let _ = incoming.write_at(&rest, offset + poured as u64);
            }
            // What is left in the pipe goes with it.
            Err(_) => self.pipe = None,
        }
        incoming.arrived(moved as u64);
        Ok(Some(moved))
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // Who has many pipes gets small ones.
        let capacity = match fcntl_setpipe_size(&write, PIPE_BYTES) {
            Ok(capacity) => capacity,
            Err(_) => fcntl_getpipe_size(&write)?,
        };
        Ok(Self {
            read: io::PipeReader::from(read),
            write,
            capacity,
        })
    }
}
