//! The sending end of a TCP stream: sendfile, and a copy where sendfile cannot be used.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use blit_engine::run::ReadStatus;
use blit_engine::watch::{Call, call, call_to_socket};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::super::reading::unreadable;
use super::super::{Close, FileSent, FrameSink};
use super::Closer;

/// Bytes that are copied at a time where sendfile cannot be used, and zeros that pad.
const COPY_BYTES: usize = 128 << 10;

/// A socket that has proved what it is.
pub(crate) struct TcpSink {
    socket: Arc<TcpStream>,
    /// Made when it is needed.
    buffer: Vec<u8>,
}

impl TcpSink {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self::over(Arc::new(socket))
    }

    /// Sends on a socket that somebody else ends.
    pub(crate) fn over(socket: Arc<TcpStream>) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    /// Copies through memory. Returns what was wrong with the file, and how much of it was sent.
    fn copy(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u64,
    ) -> io::Result<(u64, Option<ReadStatus>)> {
        let mut done = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(COPY_BYTES, 0);
        let mut problem = None;
        while done < length && problem.is_none() {
            let want = (length - done).min(COPY_BYTES as u64) as usize;
            let buffer = &mut buffer[..want];
            match call(Call::Read, file, || {
                rustix::io::pread(file, &mut *buffer, offset + done)
            }) {
                Ok(0) => problem = Some(ReadStatus::Changed),
                Ok(count) => {
                    self.send(&buffer[..count], done + (count as u64) < length)?;
                    done += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => problem = Some(unreadable(errno)),
            }
        }
        self.buffer = buffer;
        Ok((done, problem))
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let zeros = vec![0; COPY_BYTES.min(usize::try_from(length).unwrap_or(COPY_BYTES))];
        let mut left = length;
        while left > 0 {
            let take = left.min(zeros.len() as u64);
            self.send(&zeros[..take as usize], take < left)?;
            left -= take;
        }
        Ok(())
    }
}

impl FrameSink for TcpSink {
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        let mut flags = SendFlags::NOSIGNAL;
        if more {
            flags |= SendFlags::MORE;
        }
        let mut left = bytes;
        while !left.is_empty() {
            let socket = self.socket.as_fd();
            let sent = call_to_socket(Call::Send, socket, socket, || {
                rustix::net::send(socket, left, flags)
            });
            match sent {
                Ok(sent) => left = &left[sent..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u32,
    ) -> io::Result<FileSent> {
        let length = u64::from(length);
        let mut position = offset;
        let end = offset + length;
        let mut problem = None;
        let mut copied = 0;
        while position < end && problem.is_none() {
            let want = (end - position) as usize;
            let sent = call_to_socket(Call::Sendfile, file, self.socket.as_fd(), || {
                rustix::fs::sendfile(&*self.socket, file, Some(&mut position), want)
            });
            match sent {
                // The file is shorter than it was.
                Ok(0) => problem = Some(ReadStatus::Changed),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) if is_of_the_socket(errno) => return Err(errno.into()),
                // By the file system, or by the sandbox.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    (copied, problem) = self.copy(file, position, end - position)?;
                    position += copied;
                }
                Err(errno) => problem = Some(unreadable(errno)),
            }
        }
        self.pad(end - position)?;
        Ok(FileSent {
            zero_copy: position - offset - copied,
            problem,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.socket)))
    }
}

fn is_of_the_socket(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PIPE
            | Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::TIMEDOUT
            | Errno::NOTCONN
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::BADF
    )
}

#[cfg(test)]
mod tests;
