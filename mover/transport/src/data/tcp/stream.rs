//! The receiving end of a TCP stream.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::super::{Close, FrameStream};
use super::Closer;

/// A socket that has proved what it is.
pub(crate) struct TcpFrames(Arc<TcpStream>);

impl TcpFrames {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self(Arc::new(socket))
    }
}

impl FrameStream for TcpFrames {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match (&*self.0).read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn splice(&mut self, pipe: BorrowedFd<'_>, length: usize) -> io::Result<Option<usize>> {
        loop {
            match splice(&*self.0, None, pipe, None, length, SpliceFlags::MOVE) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(moved) => return Ok(Some(moved)),
                Err(Errno::INTR) => {}
                // By the kernel, or by the sandbox.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    return Ok(None);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.0)))
    }
}
