//! Opens data sockets to the side that listens, to send on or to receive from.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_proto::v2::DataToken;
use rustls::ClientConfig;
use socket2::SockRef;

use super::super::{DataPlane, FrameSink, FrameStream};
use crate::TransportError;
use crate::auth::first_frame::ANSWER_BYTES;
use crate::auth::token::Ticket;
use crate::data::newcomer::Newcomer;
use crate::data::timed::Timed;
use crate::data::tls::{Settled, TlsSocket};
use crate::error::DataFailure;
use crate::tune;
use blit_proto::control::{PAUSES, was_closed};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the listener may take for its whole answer, TLS before it included; it gives up after five seconds itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Streams over TCP to one address.
pub(crate) struct TcpPlane {
    /// Data port of the side that listens, at the address that control reached.
    pub(crate) address: SocketAddr,
    /// How long the other end may not read before the connection counts as lost.
    pub(crate) longest_wait: Duration,
    /// With whom to speak TLS, where content is encrypted.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl DataPlane for TcpPlane {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn open(&self, token: &DataToken) -> Result<Box<dyn FrameSink>, TransportError> {
        Ok(self.dial(token)?.into_sink())
    }

    fn open_receiving(&self, token: &DataToken) -> Result<Box<dyn FrameStream>, TransportError> {
        Ok(self.dial(token)?.into_frames())
    }
}

/// A socket on its way.
enum Dialled {
    Clear(TcpStream),
    Tls(Box<TlsSocket>),
}

impl Dialled {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(socket) => socket.socket(),
        }
    }
}

impl TcpPlane {
    /// Dials; again where the other end hangs up before it has answered. Among too many sockets that wait there this one may have
    /// been taken for silent, and then its token is good still.
    fn dial(&self, token: &DataToken) -> Result<Newcomer, TransportError> {
        let until = Instant::now() + ANSWER_TIMEOUT;
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.dial_once(token) {
                Err(
                    error @ TransportError::Data {
                        reason: DataFailure::Refused,
                        ..
                    },
                ) => error,
                dialled => return dialled,
            };
            match pauses.next() {
                Some(pause) if Instant::now() + pause < until => std::thread::sleep(pause),
                _ => return Err(error),
            }
        }
    }

    fn dial_once(&self, token: &DataToken) -> Result<Newcomer, TransportError> {
        let ticket = Ticket::new(token)?;
        let failed = |reason| TransportError::Data {
            address: self.address,
            reason,
        };
        let socket = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)
            .map_err(|error| failed(DataFailure::Unreachable(error.to_string())))?;
        let mut socket = match &self.tls {
            None => Dialled::Clear(socket),
            Some(config) => {
                let socket = TlsSocket::dial(Arc::clone(config), socket);
                Dialled::Tls(Box::new(
                    socket.map_err(|error| failed(DataFailure::Tls(error.to_string())))?,
                ))
            }
        };
        let answer = exchange(&mut socket, &ticket, self.longest_wait);
        let answer = answer.map_err(|error| failed(failure(&error)))?;
        if !ticket.accepts(&answer) {
            return Err(TransportError::DataNotAuthenticated {
                address: self.address,
            });
        }
        Ok(match socket {
            Dialled::Clear(socket) => Newcomer::Tcp(socket),
            Dialled::Tls(socket) => {
                let settled = socket.settle();
                match settled.map_err(|error| failed(DataFailure::Tls(error.to_string())))? {
                    Settled::Kernel(socket) => Newcomer::KernelTls(socket),
                    Settled::Process(socket) => Newcomer::Tls(socket),
                }
            }
        })
    }
}

/// Says what became of an exchange.
fn failure(error: &io::Error) -> DataFailure {
    let of_tls =
        |inner: &(dyn std::error::Error + Send + Sync + 'static)| inner.is::<rustls::Error>();
    match error.kind() {
        _ if error.get_ref().is_some_and(of_tls) => DataFailure::Tls(error.to_string()),
        _ if was_closed(error) => DataFailure::Refused,
        io::ErrorKind::WouldBlock => DataFailure::Silent,
        _ => DataFailure::Unreachable(error.to_string()),
    }
}

fn exchange(
    socket: &mut Dialled,
    ticket: &Ticket,
    longest_wait: Duration,
) -> io::Result<[u8; ANSWER_BYTES]> {
    let below = socket.socket();
    tune::data(SockRef::from(below), longest_wait)?;
    let until = Some(Instant::now() + ANSWER_TIMEOUT);
    let mut answer = [0; ANSWER_BYTES];
    match socket {
        Dialled::Clear(socket) => {
            let mut socket = Timed { socket, until };
            socket.write_all(&ticket.frame)?;
            socket.read_exact(&mut answer)?;
        }
        Dialled::Tls(socket) => {
            socket.wait_until(until);
            socket.write(&ticket.frame)?;
            if !socket.read(&mut answer)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            socket.wait_until(None);
        }
    }
    let below = socket.socket();
    below.set_read_timeout(None)?;
    below.set_write_timeout(None)?;
    Ok(answer)
}
