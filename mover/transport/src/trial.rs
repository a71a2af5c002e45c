//! Trying a connection to a daemon, step by step: where it is, who is there, what this side may do, how far away it is
//! and how much goes through. All of this blocks.
//!
//! The data plane is tried with zeros, on streams that are opened as those of a session. What they carry is dropped.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use blit_proto::control::access::Access;
use blit_proto::control::{Connection, connect_as};
use blit_proto::v2::{DataTransferNegotiation, PingRequest, PingResponse};
use blit_proto::version;
use tokio::runtime::Runtime;

use crate::client::{Pong, Remote};
use crate::data::{Close, DataPlane, FrameSink, FrameStream};
use crate::error::TransportError;
use crate::reach;
use crate::wire::Violation;

/// Bytes that are sent at once.
const BLOCK: usize = 32 << 10;

/// How long bytes are sent.
const SENDING: Duration = Duration::from_secs(1);

/// Bytes that are sent at least, however long that takes: with less there is nothing to measure.
const LEAST: usize = 8 * BLOCK;

/// Bytes that are sent at most.
const MOST: usize = 4 << 30;

/// How long a stream lasts at most: what was sent has to arrive.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);

/// How long a name may take to be looked up, and a port to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the daemon may take to say what came, after the last byte was sent.
const RESULT: Duration = Duration::from_secs(15);

/// What went through a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes after the first block.
    pub bytes: u64,
    /// What they took.
    pub took: Duration,
}

impl Measured {
    /// Returns bytes a second; `None` where there is too little to tell.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a throughput for people"
    )]
    pub fn rate(&self) -> Option<u64> {
        let seconds = self.took.as_secs_f64();
        (self.bytes > 0 && seconds > 0.0).then(|| (self.bytes as f64 / seconds) as u64)
    }
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
            .worker_threads(1)
            .enable_all()
            .build()?;
        let begun = Instant::now();
        let access = Access::Daemon(remote.access.clone());
        let connection = runtime.block_on(connect_as(&remote.address, &access))?;
        Ok(Self {
            runtime,
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

    /// Receives over TCP.
    pub fn receive(&self, offered: &DataTransferNegotiation) -> Result<Measured, TransportError> {
        let mut stream = self.plane(offered)?.open_receiving(token(offered)?)?;
        let measured = limited(stream.closer(), || measure(&mut *stream))?;
        match measured.bytes {
            0 => Err(self.lost("the data stream was opened, and next to nothing came over it")),
            _ => Ok(measured),
        }
    }

    /// Sends over TCP, and has the daemon say what came.
    pub fn send(&self, offered: &DataTransferNegotiation) -> Result<Measured, TransportError> {
        let mut stream = self.plane(offered)?.open(token(offered)?)?;
        let given = limited(stream.closer(), || give(&mut *stream))?;
        given.map_err(|error| self.lost(&format!("the data stream broke: {error}")))?;
        let asked = Instant::now();
        while asked.elapsed() < RESULT {
            let answer = self.ask(PingRequest {
                session: offered.session.clone(),
                ..PingRequest::default()
            })?;
            if let Some(tried) = answer.tried {
                let took = Duration::try_from_secs_f64(tried.seconds);
                return Ok(Measured {
                    bytes: tried.bytes,
                    took: took.map_err(|_| Violation::new("a time is none"))?,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.lost("it does not say what came of what was sent"))
    }

    fn plane(
        &self,
        offered: &DataTransferNegotiation,
    ) -> Result<Arc<dyn DataPlane>, TransportError> {
        reach::plane(offered, self.remote(), LONGEST, None).map(|(_, plane)| plane)
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

/// Sends zeros for a while, and closes the stream.
pub(crate) fn give(sink: &mut dyn FrameSink) -> io::Result<()> {
    let (zeros, begun) = (vec![0; BLOCK], Instant::now());
    let mut sent = 0;
    while sent < LEAST || (sent < MOST && begun.elapsed() < SENDING) {
        sink.send(&zeros, false)?;
        sent += BLOCK;
    }
    sink.closer().close();
    Ok(())
}

/// Takes what comes until the stream ends, or for as long as one may last.
pub(crate) fn measure(stream: &mut dyn FrameStream) -> Measured {
    let (mut block, mut first) = (vec![0; BLOCK], None);
    let mut measured = Measured::default();
    // A block that is cut off was on its way when the time was over.
    while matches!(stream.receive(&mut block), Ok(true)) {
        let now = Instant::now();
        let first = *first.get_or_insert(now);
        if now > first {
            measured.bytes += BLOCK as u64;
            measured.took = now - first;
        }
        if measured.took >= LONGEST {
            break;
        }
    }
    measured
}
