//! The client of the control plane: dials, proves who it is, checks who answers. To a mover by
//! certificates of both; to a daemon by a bearer token or a certificate, see [`access`].
//!
//! Invariants: a [`Connection`] is one TCP connection. It is not dialled again behind the caller's back,
//! because a session belongs to one connection; when it is lost every call fails. A peer that does not
//! answer to pings is taken for lost within [`KEEPALIVE_INTERVAL`] + [`KEEPALIVE_TIMEOUT`].
//! Non-goals: retries (the caller knows for how long), the data plane.

pub mod access;
mod observed;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status, Streaming};

use crate::pki::{Identity, PeerPattern, tls};
use crate::v2::blit_client::BlitClient;
use crate::v2::{CancelRequest, PingRequest, PingResponse, ProgressRequest, ProgressUpdate};
use crate::{MESSAGE_BYTES, version};
use access::{Access, Bearer};
use observed::Observed;

/// How often an idle connection is checked with an HTTP/2 ping.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long the answer to a ping may take.
///
/// A path that is down for five seconds comes back before: TCP sends again after 6.2 s at the latest, and has
/// the answer then.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a TCP connection or a TLS handshake may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses before a connection is tried again that was closed before its handshake was done, as by a listener on which too many
/// knock at once. A port that closes every connection costs them all.
pub const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
];

/// Longest text of the other side that is shown, in bytes. Two paths fit.
const MOST_SHOWN: usize = 10_000;

/// HTTP/2 window of a stream, in bytes: some listings ahead ([`crate::LISTING_PART_BYTES`] each).
pub const STREAM_WINDOW: u32 = 2 << 20;

/// A connection to the control plane of a mover or daemon.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    remote: SocketAddr,
    address: String,
    tls_failure: Arc<OnceLock<String>>,
    bearer: Bearer,
    /// What helps whoever is not authenticated.
    remedy: &'static str,
    /// It is one to a daemon: who is not allowed something there may still be allowed something else.
    daemon: bool,
}

/// What calls are made with; every call carries the bearer token, if there is one.
pub type Client = BlitClient<InterceptedService<Channel, Bearer>>;

/// The control plane cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody can be reached there.
    #[error(
        "cannot reach {address}: {reason}; check that the other side runs, that the address and port \
         are right, and that no firewall or network policy is in between"
    )]
    Unreachable {
        /// Address as it was given.
        address: String,
        /// Why.
        reason: String,
    },
    /// One side does not accept the certificate of the other.
    #[error("not authenticated at {address}: {reason}; {remedy}")]
    NotAuthenticated {
        /// Address as it was given.
        address: String,
        /// Why.
        reason: String,
        /// What helps.
        remedy: &'static str,
    },
    /// The other side knows this one, and does not allow what was asked.
    #[error("not allowed at {address}: {reason}")]
    Denied {
        /// Address as it was given.
        address: String,
        /// What, and the remedy.
        reason: String,
    },
    /// What was named is not there, or cannot be named.
    #[error("{reason}")]
    Usage {
        /// What, and the remedy.
        reason: String,
    },
    /// The two sides have no version in common.
    #[error("{reason}")]
    Incompatible {
        /// Both versions and the remedy.
        reason: String,
    },
    /// The other side refused a request.
    #[error("{address} refused: {reason}")]
    Refused {
        /// Address as it was given.
        address: String,
        /// Why.
        reason: String,
    },
    /// The identity of this side is not usable.
    #[error("{0}")]
    Identity(String),
}

/// Dials `address` (`HOST:PORT`) once, tries each address of the host, and succeeds only if `expected`
/// answers.
///
/// The server judges the certificate of this side only afterwards: the first call tells.
pub async fn connect(
    address: &str,
    identity: &Identity,
    expected: PeerPattern,
) -> Result<Connection, ControlError> {
    connect_as(address, &Access::Mover(identity.clone(), expected)).await
}

/// As [`connect`], with any kind of access.
pub async fn connect_as(address: &str, access: &Access) -> Result<Connection, ControlError> {
    let config = access
        .tls()
        .map_err(|error| ControlError::Identity(error.to_string()))?;
    let remedy = access.remedy();
    let mut pauses = PAUSES.into_iter();
    let (stream, remote) = loop {
        let (tcp, remote) = dial(address)
            .await
            .map_err(|error| unreachable(address, &error))?;
        let name = rustls::pki_types::ServerName::IpAddress(remote.ip().into());
        let handshake = TlsConnector::from(Arc::clone(&config)).connect(name, tcp);
        match timeout(CONNECT_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => break (stream, remote),
            Ok(Err(error)) => match pauses.next().filter(|_| was_closed(&error)) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(handshake_error(address, &error, remedy)),
            },
            Err(_) => return Err(unreachable(address, &"no answer to the TLS handshake")),
        }
    };
    let tls_failure = Arc::new(OnceLock::new());
    let observed = Observed::new(stream, Arc::clone(&tls_failure));
    let channel = over(observed)
        .await
        .map_err(|error| unreachable(address, &error))?;
    Ok(Connection {
        channel,
        remote,
        address: address.to_owned(),
        tls_failure,
        bearer: access.bearer()?,
        remedy,
        daemon: matches!(access, Access::Daemon(_)),
    })
}

impl Connection {
    /// Returns the address that was reached; the data plane is at the same one.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Returns a client with the limits of the protocol.
    pub fn client(&self) -> Client {
        BlitClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    /// Asks for a sign of life, and checks that there is a common version.
    pub async fn ping(&self) -> Result<PingResponse, ControlError> {
        let request = PingRequest {
            hello: Some(version::hello()),
            ..PingRequest::default()
        };
        let answer = timeout(KEEPALIVE_TIMEOUT, self.client().ping(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer to ping")));
        let response = answer.map_err(|status| self.explain(&status))?.into_inner();
        let theirs = response.hello.clone().unwrap_or_default();
        version::negotiate(&version::hello(), &theirs).map_err(|mismatch| {
            ControlError::Incompatible {
                reason: mismatch.to_string(),
            }
        })?;
        Ok(response)
    }

    /// Follows the progress of the session there, beginning with its present state.
    pub async fn progress(&self) -> Result<Streaming<ProgressUpdate>, ControlError> {
        let answer = self.client().progress(ProgressRequest {}).await;
        Ok(answer.map_err(|status| self.explain(&status))?.into_inner())
    }

    /// Asks the session there to end early.
    pub async fn cancel(&self, reason: &str) -> Result<(), ControlError> {
        let request = CancelRequest {
            reason: reason.to_owned(),
        };
        self.client()
            .cancel(request)
            .await
            .map_err(|status| self.explain(&status))?;
        Ok(())
    }

    /// Says in words what a failed call on this connection means; what the other side says is escaped.
    pub fn explain(&self, status: &Status) -> ControlError {
        let address = self.address.clone();
        if let Some(reason) = self.tls_failure.get() {
            return ControlError::NotAuthenticated {
                address,
                reason: reason.clone(),
                remedy: self.remedy,
            };
        }
        let reason = printable(status.message());
        match status.code() {
            Code::PermissionDenied if self.daemon => ControlError::Denied { address, reason },
            Code::Unauthenticated | Code::PermissionDenied => ControlError::NotAuthenticated {
                address,
                reason,
                remedy: self.remedy,
            },
            Code::NotFound | Code::OutOfRange => ControlError::Usage { reason },
            Code::FailedPrecondition => ControlError::Incompatible { reason },
            // What tonic reports for a connection that broke.
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => {
                ControlError::Unreachable {
                    address,
                    reason: printable(&reason_of(status)),
                }
            }
            _ => ControlError::Refused { address, reason },
        }
    }
}

/// Returns a text of somebody else as it may be shown: what could move the cursor or turn a line around is escaped, and
/// there is an end to it.
pub fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len().min(MOST_SHOWN));
    for c in text.chars() {
        if shown.len() >= MOST_SHOWN {
            shown.push('…');
            break;
        }
        match c.is_control() || turns(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

async fn dial(address: &str) -> io::Result<(TcpStream, SocketAddr)> {
    let resolved = timeout(CONNECT_TIMEOUT, tokio::net::lookup_host(address));
    let resolved = resolved
        .await
        .map_err(|_| timed_out("the name was not resolved"))??;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for remote in resolved {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(remote)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok((stream, remote));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = timed_out("no answer to the TCP connection"),
        }
    }
    Err(last)
}

/// Returns true for the error of a connection that the other end has closed.
pub fn was_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{what} within {CONNECT_TIMEOUT:?}"),
    )
}

/// Makes a channel over one established stream.
async fn over<S>(stream: S) -> Result<Channel, tonic::transport::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let mut stream = Some(stream);
    let once =
        tower::service_fn(move |_: Uri| {
            let stream = stream.take().map(TokioIo::new);
            std::future::ready(stream.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotConnected, "the connection was lost")
            }))
        });
    // The authority of the URI is only a label: the stream is there already.
    Endpoint::from_static("http://blit.invalid")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 2)
        .connect_with_connector(once)
        .await
}

fn handshake_error(address: &str, error: &io::Error, remedy: &'static str) -> ControlError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(tls_error) => ControlError::NotAuthenticated {
            address: address.to_owned(),
            reason: tls::explain(tls_error),
            remedy,
        },
        None => unreachable(address, error),
    }
}

fn unreachable(address: &str, reason: &dyn std::fmt::Display) -> ControlError {
    ControlError::Unreachable {
        address: address.to_owned(),
        reason: reason.to_string(),
    }
}

/// Returns why a call failed. The innermost cause says most: the text of tonic itself is `transport error`, or of HTTP/2.
pub fn reason_of(status: &Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
