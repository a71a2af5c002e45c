//! The receiving end of a TCP stream.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;

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
    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.0)))
    }
}
