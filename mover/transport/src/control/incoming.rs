//! TLS connections as the gRPC server takes them, each with who is at the other end.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use blit_proto::pki::{PeerName, tls};
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::standing::{READ_UNPROVED, Standing};
use super::strangers::{Stranger, Strangers};
use crate::refusals::Refusals;
use crate::tune;

/// How long a handshake may take, from the first moment of the connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a refused peer may take to close its side.
const LINGER: Duration = Duration::from_secs(1);

/// How often something is read from a refused peer at most.
const LINGER_READS: usize = 16;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The name in the certificate.
    pub(crate) name: PeerName,
    /// The certificate, DER.
    pub(crate) certificate: CertificateDer<'static>,
}

/// What is known of the connection that a call came over.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Number of the connection, within this process.
    pub(crate) number: u64,
    /// Who is at the other end; `None` where TLS asked for no certificate and got none.
    pub(crate) peer: Option<Peer>,
    /// Whether who is at the other end has proved who it is, and whether the connection may stay.
    standing: Arc<Standing>,
}

impl Known {
    /// Notes that who is at the other end has proved who it is: the connection may stay.
    pub(crate) fn has_proved(&self) {
        self.standing.has_proved();
    }

    /// Ends the connection, with all that is under way on it.
    pub(crate) fn end(&self, reason: &'static str) {
        self.standing.end(reason);
    }
}

/// A connection that TLS accepted.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    known: Known,
    /// Until somebody has proved something on it.
    probation: Option<Probation>,
}

/// What ends a connection on which nobody proves anything.
#[derive(Debug)]
struct Probation {
    place: Stranger,
    over: Pin<Box<Sleep>>,
    /// Bytes read so far.
    read: usize,
}

/// How long a connection may stay on which nobody has proved who they are.
const PROBATION: Duration = Duration::from_secs(15);

/// Number of the next connection.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Accepts connections for as long as the result is kept. Those that fail are dropped; of the first
/// the log tells.
pub(crate) fn accept(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
) -> ReceiverStream<io::Result<Connection>> {
    let (connections, accepted) = mpsc::channel(1);
    let acceptor = TlsAcceptor::from(config);
    let strangers = Arc::new(Strangers::default());
    let refusals = Arc::new(Refusals::new("control connections"));
    tokio::spawn(async move {
        loop {
            let socket = tokio::select! {
                () = connections.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let (socket, address) = match socket {
                Ok(accepted) => accepted,
                Err(error) => {
                    refusals.tell(|| {
                        tracing::warn!(%error, "a control connection could not be accepted");
                    });
                    // Out of descriptors, most likely: the wait would end at once, again and again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (acceptor, connections) = (acceptor.clone(), connections.clone());
            let refusals = Arc::clone(&refusals);
            // Where there are no descriptors any more it only counts as silent.
            let seen = socket.as_fd().try_clone_to_owned().ok();
            let seen = seen.map(std::net::TcpStream::from);
            let mut place = strangers.add(address.ip(), seen, std::time::Instant::now());
            let heard = place.on_word();
            tokio::spawn(async move {
                let shaken = tokio::select! {
                    shaken = handshake(acceptor, socket, heard) => shaken,
                    () = &mut place => Err(TOO_MANY.to_owned().into()),
                };
                match shaken {
                    Ok((stream, known)) => {
                        let probation = known.peer.is_none().then(|| Probation {
                            place,
                            over: Box::pin(tokio::time::sleep(PROBATION)),
                            read: 0,
                        });
                        let connection = Connection {
                            stream,
                            known,
                            probation,
                        };
                        // Fails when nobody accepts any more.
                        drop(connections.send(Ok(connection)).await);
                    }
                    Err(Refusal::Nothing) => {
                        tracing::debug!(peer = %address, "somebody knocked and said nothing");
                    }
                    Err(Refusal::Because(reason)) => {
                        refusals.tell(|| {
                            tracing::warn!(%reason, peer = %address, "a control connection was refused");
                        });
                    }
                }
            });
        }
    });
    ReceiverStream::new(accepted)
}

/// Why a connection came to nothing.
#[derive(Debug)]
enum Refusal {
    /// The peer closed it without a word, as a probe does that only wants to know whether somebody listens;
    /// the kubelet's come every second.
    Nothing,
    /// Something was wrong.
    Because(String),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

/// Why a connection is closed that has done nothing wrong.
const TOO_MANY: &str = "too many connections on which nobody has proved who they are";

async fn handshake(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    heard: impl FnOnce(),
) -> Result<(TlsStream<TcpStream>, Known), Refusal> {
    tune::control(SockRef::from(&socket)).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let first = timeout_at(deadline, socket.peek(&mut [0])).await;
    match first {
        Ok(Ok(1..)) => heard(),
        Ok(Ok(0) | Err(_)) => return Err(Refusal::Nothing),
        Err(_) => return Err("it said nothing in time".to_owned().into()),
    }
    // Nobody waits for the handshake of another, who may have said one byte and no more: how many there are is
    // bounded by how many strangers there may be.
    let stream = match timeout_at(deadline, acceptor.accept(socket).into_fallible()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, socket))) => {
            linger(socket).await;
            return Err(explain(&error).into());
        }
        Err(_) => return Err("the TLS handshake took too long".to_owned().into()),
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let named = |certificate: &CertificateDer<'static>| {
        let name = tls::peer_name(certificate).map_err(|error| error.to_string())?;
        let certificate = certificate.clone();
        Ok::<_, String>(Peer { name, certificate })
    };
    let peer = certificates.and_then(<[_]>::first).map(named).transpose()?;
    let known = Known {
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        standing: Arc::new(Standing::new(peer.is_some())),
        peer,
    };
    Ok((stream, known))
}

/// Closes a refused connection so that the alert, which is on its way, arrives: a socket that is closed
/// while something is unread resets the connection, and the peer would not learn why.
async fn linger(mut socket: TcpStream) {
    let drain = async {
        socket.shutdown().await?;
        let mut unread = [0; 4096];
        for _ in 0..LINGER_READS {
            if socket.read(&mut unread).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // The peer may have gone, or go on talking; neither matters any more.
    let _ = timeout(LINGER, drain).await;
}

fn explain(error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.map_or_else(|| error.to_string(), tls::explain)
}

impl Connected for Connection {
    type ConnectInfo = Known;

    fn connect_info(&self) -> Known {
        self.known.clone()
    }
}

impl Connection {
    /// Fails once the time is over in which somebody had to prove something, and when the connection must end.
    fn judge(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let standing = &self.known.standing;
        standing.watch(cx);
        let refused = |reason| Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        if let Some(reason) = standing.over() {
            return refused(reason);
        }
        let Some(probation) = &mut self.probation else {
            return Ok(());
        };
        if standing.is_proved() {
            self.probation = None;
            return Ok(());
        }
        if Pin::new(&mut probation.place).poll(cx).is_ready() {
            return refused(TOO_MANY);
        }
        match probation.over.as_mut().poll(cx) {
            Poll::Ready(()) => refused("nobody proved who they are"),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.judge(cx)?;
        let this = &mut *self;
        let stream = Pin::new(&mut this.stream);
        let Some(probation) = &mut this.probation else {
            return stream.poll_read(cx, buf);
        };
        let mut little = [0; 4096];
        let most = (READ_UNPROVED - probation.read).min(buf.remaining());
        if most == 0 && buf.remaining() > 0 {
            // Woken when somebody has proved something, or when the connection must end.
            return Poll::Pending;
        }
        let most = most.min(little.len());
        let mut part = ReadBuf::new(&mut little[..most]);
        ready!(stream.poll_read(cx, &mut part))?;
        probation.read += part.filled().len();
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(reason) = self.known.standing.over() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
