//! The destination of a session: listens, takes one source, and gives the engine what it needs.
//!
//! [`Destination::bind`] opens both ports; [`Destination::accept`] waits for the source of the attempt;
//! the [`Session`] it returns is a [`Listing`](blit_engine::run::Listing) and a [`Content`] for the engine,
//! and takes the result at the end. All of this blocks; a small runtime of its own does the gRPC.
//!
//! Invariants: one session; when it breaks off, whoever waits for anything of it gets an error at once.
//! Non-goals: running the engine, deciding an exit code.

mod host;
mod inbox;
mod link;
mod progress;
mod session;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use blit_proto::pki::{Identity, PeerName, PeerPattern, Role, tls};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::control::{self, Service};
use crate::error::TransportError;
use host::SessionHost;
pub use progress::ProgressPublisher;
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
    server: Option<(oneshot::Sender<()>, JoinHandle<io::Result<()>>)>,
    runtime: Option<Runtime>,
}

/// Ends the wait for a source.
#[derive(Clone)]
pub struct Interrupter(SyncSender<News>);

enum News {
    Session(Box<Session>),
    Interrupted(String),
}

/// Threads for the control plane; it moves listings, not data.
const RUNTIME_THREADS: usize = 2;

/// How long calls that are open at the end may take to finish.
const GRACE: Duration = Duration::from_secs(2);

impl Destination {
    /// Opens both ports and serves the control plane.
    pub fn bind(config: ServeConfig) -> Result<Self, TransportError> {
        let source = PeerName::mover(&config.job_uid, config.attempt, Role::Source)?;
        let accepted = vec![PeerPattern::Exactly(source), PeerPattern::AnyOperator];
        let tls = tls::server_config(&config.identity, accepted)?;
        let control = listen(config.listen)?;
        let data = listen(SocketAddr::new(config.listen.ip(), config.data_port))?;
        let addresses = Addresses {
            control: control.local_addr()?,
            data: data.local_addr()?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("blit-control")
            .enable_all()
            .build()?;
        let (sender, news) = mpsc::sync_channel(4);
        let progress = ProgressPublisher::new();
        let host = SessionHost::new(config, data, progress.clone(), sender.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = control::serve(control, tls, Service(Arc::new(host)), async {
            // Also when the sender is gone.
            let _ = stopped.await;
        });
        let server = Some((stop, runtime.spawn(serving)));
        Ok(Self {
            addresses,
            progress,
            news,
            sender,
            server,
            runtime: Some(runtime),
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

impl Drop for Destination {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        if let Some((stop, serving)) = self.server.take() {
            drop(stop);
            // Those who follow progress get the last state.
            match runtime.block_on(async { tokio::time::timeout(GRACE, serving).await }) {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "the control server failed"),
                Ok(Err(error)) => tracing::error!(%error, "the control server panicked"),
                Err(_) => tracing::debug!("some calls were still open at the end"),
            }
        }
        runtime.shutdown_timeout(GRACE);
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, TransportError> {
    TcpListener::bind(address).map_err(|source| TransportError::Listen { address, source })
}
