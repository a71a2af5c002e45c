//! Opens data sockets to the side that listens, to send on or to receive from.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use blit_proto::v2::DataToken;
use socket2::SockRef;

use super::super::{DataPlane, FrameSink, FrameStream};
use super::sink::TcpSink;
use super::stream::TcpFrames;
use crate::TransportError;
use crate::auth::first_frame::ANSWER_BYTES;
use crate::auth::token::Ticket;
use crate::tune;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the listener may take to answer; it gives up after five seconds itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Streams over TCP to one address.
pub(crate) struct TcpPlane {
    /// Data port of the side that listens, at the address that control reached.
    pub(crate) address: SocketAddr,
    /// How long the other end may not read before the connection counts as lost.
    pub(crate) longest_wait: Duration,
}

impl DataPlane for TcpPlane {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn open(&self, token: &DataToken) -> Result<Box<dyn FrameSink>, TransportError> {
        Ok(Box::new(TcpSink::new(self.dial(token)?)))
    }

    fn open_receiving(&self, token: &DataToken) -> Result<Box<dyn FrameStream>, TransportError> {
        Ok(Box::new(TcpFrames::new(self.dial(token)?)))
    }
}

impl TcpPlane {
    fn dial(&self, token: &DataToken) -> Result<TcpStream, TransportError> {
        let ticket = Ticket::new(token)?;
        let unreachable = |error: &dyn std::fmt::Display| TransportError::Data {
            address: self.address,
            reason: error.to_string(),
        };
        let mut socket = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)
            .map_err(|error| unreachable(&error))?;
        let answer =
            exchange(&mut socket, &ticket, self.longest_wait).map_err(|error| {
                match error.kind() {
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                        unreachable(&"the other side refused the token")
                    }
                    io::ErrorKind::WouldBlock => unreachable(&"the other side did not answer"),
                    _ => unreachable(&error),
                }
            })?;
        if !ticket.accepts(&answer) {
            return Err(TransportError::DataNotAuthenticated {
                address: self.address,
            });
        }
        Ok(socket)
    }
}

fn exchange(
    socket: &mut TcpStream,
    ticket: &Ticket,
    longest_wait: Duration,
) -> io::Result<[u8; ANSWER_BYTES]> {
    tune::data(SockRef::from(&*socket), longest_wait)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    socket.write_all(&ticket.frame)?;
    let mut answer = [0; ANSWER_BYTES];
    socket.read_exact(&mut answer)?;
    socket.set_read_timeout(None)?;
    socket.set_write_timeout(None)?;
    Ok(answer)
}
