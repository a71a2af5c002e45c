//! A blocking socket on which a whole conversation has one deadline, however its bytes come.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A socket, and until when it is waited for. What comes too late is [`io::ErrorKind::WouldBlock`], as of a socket that has a
/// limit of its own.
#[derive(Clone, Copy)]
pub(crate) struct Timed<'a> {
    pub(crate) socket: &'a TcpStream,
    /// `None`: as long as the socket says.
    pub(crate) until: Option<Instant>,
}

impl Timed<'_> {
    /// Returns how long the next call may take.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => Err(io::ErrorKind::WouldBlock.into()),
            left => Ok(left),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(left) = self.left()? {
            self.socket.set_read_timeout(Some(left))?;
        }
        self.socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(left) = self.left()? {
            self.socket.set_write_timeout(Some(left))?;
        }
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
