//! TLS 1.3 on a data socket: both ends show the certificates of the control plane, and the token goes inside. Once that is done
//! the kernel goes on, where it can ([`kernel_tls`](super::kernel_tls)); else every byte passes through memory.
//!
//! Invariants: a stream that ends without a good-bye is a stream that broke; how far it got says the count of frames. Until it is
//! clear who goes on, nothing is read beyond the record that is waited for.

pub(crate) mod boundary;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use blit_engine::watch::{Call, call_to_socket};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection};

use super::kernel_tls::{Handed, KernelSocket, hand_over, is_quiet};
use super::reading::read_on;
use super::tcp::Closer;
use super::timed::Timed;
use super::{Close, FileSent, FrameSink, FrameStream};
use boundary::Boundary;

/// Bytes of a file that are read at a time.
const READ_BYTES: usize = 128 << 10;

/// A socket in the middle of a conversation, from which no more is read than the record that is waited for.
pub(crate) struct ByRecord<'a> {
    pub(crate) socket: Timed<'a>,
    /// `None`: as much as comes is read.
    pub(crate) boundary: Option<&'a mut Boundary>,
}

impl Read for ByRecord<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(boundary) = &mut self.boundary else {
            return self.socket.read(buffer);
        };
        let limit = boundary.limit().min(buffer.len());
        let count = self.socket.read(&mut buffer[..limit])?;
        boundary.passed(&buffer[..count]);
        Ok(count)
    }
}

impl Write for ByRecord<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who speaks TLS on a socket.
pub(crate) enum Settled {
    Kernel(Box<KernelSocket>),
    Process(Box<TlsSocket>),
}

/// A socket with TLS on it.
pub(crate) struct TlsSocket {
    connection: Box<Connection>,
    socket: Arc<TcpStream>,
    /// Until it is settled who goes on.
    boundary: Option<Boundary>,
    /// Until when the other end is waited for, while the conversation begins.
    until: Option<Instant>,
    /// Made when it is needed.
    buffer: Vec<u8>,
}

impl TlsSocket {
    /// Begins to speak TLS as the side that dialled; the handshake goes with the first bytes.
    pub(crate) fn dial(config: Arc<ClientConfig>, socket: TcpStream) -> io::Result<Self> {
        // A label: whose certificate is right says the configuration.
        let name = ServerName::IpAddress(socket.peer_addr()?.ip().into());
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self::new(connection.into(), Boundary::default(), socket))
    }

    /// Goes on with a connection whose handshake is done.
    pub(crate) fn new(connection: Connection, boundary: Boundary, socket: TcpStream) -> Self {
        Self {
            connection: Box::new(connection),
            socket: Arc::new(socket),
            boundary: Some(boundary),
            until: None,
            buffer: Vec::new(),
        }
    }

    /// Settles who goes on once both sides have proved who they are: the kernel, if it can. An error is the end of the stream.
    pub(crate) fn settle(mut self) -> io::Result<Settled> {
        let is_between = self.boundary.take().is_some_and(|at| at.is_between());
        if !is_between || !is_quiet(&mut self.connection) {
            return Ok(Settled::Process(Box::new(self)));
        }
        Ok(match hand_over(self.connection, self.socket)? {
            Handed::Over(socket) => Settled::Kernel(Box::new(socket)),
            Handed::Back(connection, socket) => Settled::Process(Box::new(Self {
                connection,
                socket,
                ..self
            })),
        })
    }

    /// Sends all, now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fd = self.socket.as_fd();
        let connection = &mut self.connection;
        let mut socket = ByRecord {
            socket: Timed {
                socket: &self.socket,
                until: self.until,
            },
            boundary: self.boundary.as_mut(),
        };
        call_to_socket(Call::Send, fd, fd, || {
            if connection.is_handshaking() {
                connection.complete_io(&mut socket)?;
            }
            let mut left = bytes;
            while !left.is_empty() {
                // As much as its buffer takes.
                let taken = connection.writer().write(left)?;
                left = &left[taken..];
                while connection.wants_write() {
                    connection.write_tls(&mut socket)?;
                }
            }
            Ok(())
        })
    }

    /// Fills the buffer. Returns false if the stream ended before the first byte of it.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let connection = &mut self.connection;
        let mut socket = ByRecord {
            socket: Timed {
                socket: &self.socket,
                until: self.until,
            },
            boundary: self.boundary.as_mut(),
        };
        let mut filled = 0;
        while filled < buffer.len() {
            match connection.reader().read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match connection.read_tls(&mut socket) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            connection.process_new_packets().map_err(io::Error::other)?;
            while connection.wants_write() {
                connection.write_tls(&mut socket)?;
            }
        }
        Ok(true)
    }

    /// Goes on with other keys, as a connection does that has carried very much.
    #[cfg(test)]
    pub(crate) fn renew_keys(&mut self) -> io::Result<()> {
        let renewed = self.connection.refresh_traffic_keys();
        renewed.map_err(io::Error::other)
    }

    /// Sets until when the other end is waited for; `None`: as long as the socket says.
    pub(crate) fn wait_until(&mut self, until: Option<Instant>) {
        self.until = until;
    }

    /// Returns the socket, to set it up.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl FrameSink for TlsSocket {
    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<()> {
        self.write(bytes)
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u32,
    ) -> io::Result<FileSent> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(READ_BYTES, 0);
        let (mut done, length) = (0, u64::from(length));
        let mut problem = None;
        while done < length {
            // At most READ_BYTES, so it fits.
            let part = (length - done).min(READ_BYTES as u64) as usize;
            let part = &mut buffer[..part];
            let read = read_on(file, offset + done, part, &mut problem);
            self.write(&part[..read])?;
            done += read as u64;
        }
        self.buffer = buffer;
        Ok(FileSent {
            zero_copy: 0,
            problem,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        let mut socket = &*self.socket;
        while self.connection.wants_write() {
            self.connection.write_tls(&mut socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.socket)))
    }
}

impl FrameStream for TlsSocket {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.read(buffer)
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.socket)))
    }
}
