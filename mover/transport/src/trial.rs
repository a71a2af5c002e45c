//! Trying a connection to a daemon, step by step: where it is, who is there, what this side may do, how far away it is
//! and how much goes through, over each plane. All of this blocks.
//!
//! The data planes are tried with zeros, on streams that are opened as those of a session. What they carry is dropped.

mod zeros;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use blit_proto::control::access::Access;
use blit_proto::control::{Connection, connect_as};
use blit_proto::v2::{DataTransferNegotiation, DataTried, PingRequest, PingResponse};
use blit_proto::version;
use tokio::runtime::Runtime;

use crate::client::{Pong, Remote};
use crate::data::grpc::GrpcPlane;
use crate::data::{Close, DataPlane};
use crate::error::TransportError;
use crate::reach::{self, Target};
pub use crate::tune::path::{Limit, Path};
use crate::wire::Violation;
pub use zeros::Measured;
pub(crate) use zeros::{LONGEST, give, measure};

/// How long a name may take to be looked up, and a port to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the daemon may take to say what came, after the last byte was sent.
const RESULT: Duration = Duration::from_secs(15);

/// How long it is waited for what the daemon's kernel knows, after the last byte has come.
const TOLD: Duration = Duration::from_secs(2);

/// Threads that speak gRPC: as many as a session has.
const RUNTIME_THREADS: usize = 2;

/// A way for content to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// A socket, in the clear.
    Tcp,
    /// A socket with TLS on it.
    Tls,
    /// A call inside gRPC.
    Grpc,
}

impl Way {
    /// All of them, the one that is used first at the front.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Tls, Self::Grpc];
}

/// Looks up `HOST:PORT`.
pub fn look_up(address: &str) -> io::Result<Vec<SocketAddr>> {
    let (found, answer) = sync_channel(1);
    let name = address.to_owned();
    // The look-up cannot be broken off; it ends by itself.
    std::thread::Builder::new()
        .name("blit-look-up".to_owned())
        .spawn(move || drop(found.send(name.to_socket_addrs().map(Vec::from_iter))))?;
    match answer.recv_timeout(PATIENCE) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", PATIENCE.as_secs()),
        )),
        Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::Other.into()),
    }
}

/// Finds out whether anybody accepts connections; returns how long that took.
pub fn knock(address: SocketAddr) -> io::Result<Duration> {
    let begun = Instant::now();
    TcpStream::connect_timeout(&address, PATIENCE)?;
    Ok(begun.elapsed())
}

/// A connection to a daemon that is tried.
pub struct Trial {
    runtime: Runtime,
    access: Access,
    connection: Connection,
    connect: Duration,
}

/// Data streams that may be tried.
#[derive(Debug)]
pub struct Streams {
    /// One to receive from, if this side may read.
    pub receiving: Option<DataTransferNegotiation>,
    /// One to send on, if this side may write.
    pub sending: Option<DataTransferNegotiation>,
}

impl Trial {
    /// Connects; whether the daemon accepts this side tells the first question.
    pub fn connect(remote: &Remote) -> Result<Self, TransportError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .enable_all()
            .build()?;
        let begun = Instant::now();
        let access = Access::Daemon(remote.access.clone());
        let connection = runtime.block_on(connect_as(&remote.address, &access))?;
        Ok(Self {
            runtime,
            access,
            connection,
            connect: begun.elapsed(),
        })
    }

    /// Returns the address that was reached.
    pub fn remote(&self) -> SocketAddr {
        self.connection.remote()
    }

    /// Asks who is there and what this side may do, and measures the round trip.
    pub fn ping(&self) -> Result<Pong, TransportError> {
        (self.runtime).block_on(Pong::of(&self.connection, self.connect))
    }

    /// Asks for data streams to try.
    pub fn streams(&self) -> Result<Streams, TransportError> {
        let answer = self.ask(PingRequest {
            try_data: true,
            ..PingRequest::default()
        })?;
        Ok(Streams {
            receiving: answer.try_receiving,
            sending: answer.try_sending,
        })
    }

    /// Receives zeros.
    pub fn receive(
        &self,
        way: Way,
        offered: &DataTransferNegotiation,
    ) -> Result<Measured, TransportError> {
        let mut stream = self.plane(way, offered)?.open_receiving(token(offered)?)?;
        let mut measured = limited(stream.closer(), || measure(&mut *stream))?;
        if measured.bytes == 0 {
            return Err(self.lost("the data stream was opened, and next to nothing came over it"));
        }
        // An older daemon says nothing of it, and a stream inside gRPC has no socket.
        let told = self.told(&offered.session, TOLD).ok().flatten();
        measured.path = told.and_then(|tried| tried.path.as_ref().map(Path::from_wire));
        Ok(measured)
    }

    /// Sends zeros, and has the daemon say what came.
    pub fn send(
        &self,
        way: Way,
        offered: &DataTransferNegotiation,
    ) -> Result<Measured, TransportError> {
        let mut stream = self.plane(way, offered)?.open(token(offered)?)?;
        let begun = Instant::now();
        let given = limited(stream.closer(), || give(&mut *stream))?;
        let path = match given {
            Ok(path) => path,
            // The daemon has taken what it could in the time that there is.
            Err(_) if begun.elapsed() >= LONGEST => None,
            Err(error) => return Err(self.lost(&format!("the data stream broke: {error}"))),
        };
        let tried = self.told(&offered.session, RESULT)?;
        let tried = tried.ok_or_else(|| self.lost("it does not say what came of what was sent"))?;
        if tried.bytes == 0 {
            return Err(self.lost("the data stream was opened, and next to nothing arrived"));
        }
        Ok(Measured::from_wire(&tried, path)?)
    }

    /// Has the daemon say what it found of a stream; `None` if it does not in time.
    fn told(&self, session: &str, patience: Duration) -> Result<Option<DataTried>, TransportError> {
        let asked = Instant::now();
        loop {
            let answer = self.ask(PingRequest {
                session: session.to_owned(),
                ..PingRequest::default()
            })?;
            if answer.tried.is_some() || asked.elapsed() >= patience {
                return Ok(answer.tried);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn plane(
        &self,
        way: Way,
        offered: &DataTransferNegotiation,
    ) -> Result<Arc<dyn DataPlane>, TransportError> {
        let tls = (way == Way::Tls).then(|| self.access.tls()).transpose()?;
        let (_, tcp) = reach::plane(offered, self.remote(), LONGEST, tls)?;
        if way != Way::Grpc {
            return Ok(tcp);
        }
        let target = Target {
            // The very host that control reached, whatever its name leads to now.
            address: self.remote().to_string(),
            access: self.access.clone(),
        };
        Ok(GrpcPlane::shared(target, self.runtime.handle().clone()))
    }

    fn ask(&self, request: PingRequest) -> Result<PingResponse, TransportError> {
        let request = PingRequest {
            hello: Some(version::hello()),
            ..request
        };
        let mut client = self.connection.client();
        let answer = (self.runtime)
            .block_on(async { tokio::time::timeout(PATIENCE * 2, client.ping(request)).await });
        let answer = answer.map_err(|_| self.lost("no answer to a ping"))?;
        let answer = answer.map_err(|status| self.connection.explain(&status))?;
        Ok(answer.into_inner())
    }

    fn lost(&self, reason: &str) -> TransportError {
        TransportError::Lost {
            peer: self.remote().to_string(),
            reason: reason.to_owned(),
        }
    }
}

fn token(offered: &DataTransferNegotiation) -> Result<&blit_proto::v2::DataToken, Violation> {
    let token = offered.one_time_tokens.first();
    token.ok_or_else(|| Violation::new("there is no token for a stream"))
}

/// Does something with a stream, which is closed if that takes too long.
fn limited<T>(closer: Arc<dyn Close>, work: impl FnOnce() -> T) -> io::Result<T> {
    let (ended, end) = sync_channel::<()>(0);
    let watch = std::thread::Builder::new()
        .name("blit-trial".to_owned())
        .spawn(move || {
            if end.recv_timeout(LONGEST * 2) == Err(RecvTimeoutError::Timeout) {
                closer.close();
            }
        })?;
    let done = work();
    drop(ended);
    drop(watch.join());
    Ok(done)
}
