//! The destination of a session: listens and takes one source, or dials one, and gives the engine what it needs.
//!
//! [`Destination::bind`] opens both ports; [`Destination::accept`] waits for the source of the attempt; [`pull`]
//! dials a source that listens. The [`Session`] that both return is a [`Listing`](blit_engine::run::Listing) and a [`Content`] for the engine,
//! and takes the result at the end. All of this blocks; a small runtime of its own does the gRPC.
//!
//! Invariants: one session; when it breaks off, whoever waits for anything of it gets an error at once.
//! Non-goals: running the engine, deciding an exit code.

pub(crate) mod host;
mod inbox;
pub(crate) mod link;
mod progress;
mod pull;
mod reading;
mod redial;
mod relisting;
mod session;
mod streams;
mod told;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use blit_proto::pki::{Identity, PeerName, PeerPattern, Role, tls};

use crate::control::{ControlServer, listen};
use crate::data::tcp::DataListener;
use crate::error::TransportError;
use host::SessionHost;
pub use progress::ProgressPublisher;
pub use pull::{PullConfig, pull};
pub use session::{Figures, PeerInfo, RunResult, Session};

/// How to listen.
#[derive(Clone)]
pub struct ServeConfig {
    /// Address and port of the control plane; port 0 is chosen by the kernel.
    pub listen: SocketAddr,
    /// Port of the data plane at the same address; 0 is chosen by the kernel.
    pub data_port: u16,
    /// Who this side is.
    pub identity: Identity,
    /// UID of the job.
    pub job_uid: String,
    /// Attempt of the job, from 1.
    pub attempt: u32,
    /// The source is to prove that what arrives is what it sent. One that cannot is refused.
    pub verify: bool,
    /// Called when an operator asks the run to end; gets the reason.
    pub on_cancel: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Addresses that are listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Control plane.
    pub control: SocketAddr,
    /// Data plane.
    pub data: SocketAddr,
}

/// A destination that listens. Dropping it ends everything.
pub struct Destination {
    addresses: Addresses,
    progress: ProgressPublisher,
    news: Receiver<News>,
    sender: SyncSender<News>,
    _server: ControlServer,
    _data: DataListener,
}

/// Ends the wait for a source.
#[derive(Clone)]
pub struct Interrupter(SyncSender<News>);

enum News {
    Session(Box<Session>),
    Interrupted(String),
}

impl Destination {
    /// Opens both ports and serves the control plane.
    pub fn bind(config: ServeConfig) -> Result<Self, TransportError> {
        let source = PeerName::mover(&config.job_uid, config.attempt, Role::Source)?;
        let accepted = vec![PeerPattern::Exactly(source), PeerPattern::AnyOperator];
        let control = listen(config.listen)?;
        let data = listen(SocketAddr::new(config.listen.ip(), config.data_port))?;
        let tls = tls::server_config(&config.identity, accepted.clone())?;
        let data = DataListener::start(data, Some(tls))?;
        let (sender, news) = mpsc::sync_channel(4);
        let progress = ProgressPublisher::new();
        let identity = config.identity.clone();
        let host = SessionHost::new(config, &data, progress.clone(), sender.clone());
        let server = ControlServer::start(control, &identity, accepted, host)?;
        let addresses = Addresses {
            control: server.address(),
            data: data.address(),
        };
        Ok(Self {
            addresses,
            progress,
            news,
            sender,
            _server: server,
            _data: data,
        })
    }

    /// Returns the addresses, with the ports that the kernel chose.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Returns where the state of the run is published.
    pub fn progress(&self) -> ProgressPublisher {
        self.progress.clone()
    }

    /// Returns what ends [`Self::accept`] from another thread.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.sender.clone())
    }

    /// Waits for the source, up to `limit`.
    pub fn accept(&self, limit: Duration) -> Result<Session, TransportError> {
        match self.news.recv_timeout(limit) {
            Ok(News::Session(session)) => Ok(*session),
            Ok(News::Interrupted(reason)) => Err(TransportError::Interrupted(reason)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(TransportError::NoSource {
                    address: self.addresses.control,
                    waited: limit,
                })
            }
        }
    }
}

impl Interrupter {
    /// Ends the wait.
    pub fn interrupt(&self, reason: &str) {
        // Full: something has ended the wait already.
        let _ = self.0.try_send(News::Interrupted(reason.to_owned()));
    }
}
