//! What a stranger says first on a data socket: a frame in the clear, or a TLS handshake with the frame inside.
//! Sockets do not block here; whoever says nothing costs nothing.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::auth::first_frame::FRAME_BYTES;
use crate::data::timed::Timed;
use crate::data::tls::boundary::Boundary;
use crate::data::tls::{ByRecord, TlsSocket};

/// The first byte of a TLS handshake. A frame begins with another.
const HANDSHAKE: u8 = 0x16;

/// How far a stranger got.
pub(super) struct Greeting {
    way: Way,
    frame: Box<[u8; FRAME_BYTES]>,
    received: usize,
}

enum Way {
    /// Nothing has come.
    Unknown,
    Clear,
    Tls(Box<Opened>),
}

/// A connection that a stranger opened, and how far it was read.
pub(super) struct Opened {
    connection: ServerConnection,
    boundary: Boundary,
}

/// A first frame that is there.
pub(super) struct Greeted {
    pub(super) frame: Box<[u8; FRAME_BYTES]>,
    /// The connection inside which it came.
    pub(super) tls: Option<Box<Opened>>,
}

impl Default for Greeting {
    fn default() -> Self {
        Self {
            way: Way::Unknown,
            frame: Box::new([0; FRAME_BYTES]),
            received: 0,
        }
    }
}

impl Greeting {
    /// Reads what has arrived. `WouldBlock`: there is more to come. Any other error, and the socket is to be closed.
    pub(super) fn read(
        &mut self,
        socket: &mut TcpStream,
        config: Option<&Arc<ServerConfig>>,
    ) -> io::Result<()> {
        if let Way::Unknown = self.way {
            let mut first = [0];
            if socket.peek(&mut first)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.way = match config {
                Some(config) if first[0] == HANDSHAKE => {
                    let connection = ServerConnection::new(Arc::clone(config));
                    Way::Tls(Box::new(Opened {
                        connection: connection.map_err(io::Error::other)?,
                        boundary: Boundary::default(),
                    }))
                }
                _ => Way::Clear,
            };
        }
        while self.received < FRAME_BYTES {
            let rest = &mut self.frame[self.received..];
            let count = match &mut self.way {
                Way::Tls(opened) => read_tls(opened, socket, rest)?,
                Way::Clear | Way::Unknown => socket.read(rest)?,
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received += count;
        }
        Ok(())
    }

    /// Returns true once something was read.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.way, Way::Unknown)
    }

    /// Returns the frame that was read.
    pub(super) fn greeted(self) -> Greeted {
        Greeted {
            frame: self.frame,
            tls: match self.way {
                Way::Tls(opened) => Some(opened),
                Way::Clear | Way::Unknown => None,
            },
        }
    }
}

/// Goes on with the handshake, and reads what is inside.
fn read_tls(opened: &mut Opened, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let Opened {
        connection,
        boundary,
    } = opened;
    loop {
        match connection.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        let mut record = ByRecord {
            socket: Timed {
                socket,
                until: None,
            },
            boundary: Some(&mut *boundary),
        };
        if connection.read_tls(&mut record)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let processed = connection.process_new_packets();
        // What is said in a handshake fits the buffer of a socket; so does the alert that ends one.
        while connection.wants_write() {
            connection.write_tls(socket)?;
        }
        processed.map_err(io::Error::other)?;
    }
}

/// Answers a stranger that was let in.
pub(super) fn answer(
    socket: &mut TcpStream,
    tls: Option<&mut Box<Opened>>,
    answer: &[u8],
) -> io::Result<()> {
    // Nothing but a handshake was sent before, so that it fits the buffer.
    let Some(Opened { connection, .. }) = tls.map(Box::as_mut) else {
        return socket.write_all(answer);
    };
    connection.writer().write_all(answer)?;
    while connection.wants_write() {
        connection.write_tls(socket)?;
    }
    Ok(())
}

impl Opened {
    /// Returns the connection in the shape that both sides share.
    pub(super) fn on(self, socket: TcpStream) -> TlsSocket {
        TlsSocket::new(self.connection.into(), self.boundary, socket)
    }
}
