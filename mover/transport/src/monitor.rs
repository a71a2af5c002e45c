//! A control plane without a session, for a mover that has both volumes: operators follow its progress and
//! may ask it to end.
//!
//! Invariants: nobody but an operator gets past TLS; nothing that comes in is content or a name.
//! Non-goals: running the engine, deciding an exit code.

use std::net::SocketAddr;
use std::sync::Arc;

use blit_proto::pki::{Identity, PeerPattern};
use blit_proto::v2::{ClientPushRequest, ProgressUpdate, PushSummary};
use tokio::sync::watch;
use tonic::{Status, Streaming};

use crate::control::{ControlServer, Host, Peer, Responses, listen};
use crate::destination::{ProgressPublisher, RunResult};
use crate::error::TransportError;

/// How to listen.
#[derive(Clone)]
pub struct MonitorConfig {
    /// Address and port; port 0 is chosen by the kernel.
    pub listen: SocketAddr,
    /// Who this mover is.
    pub identity: Identity,
    /// Called when an operator asks the run to end; gets the reason.
    pub on_cancel: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Serves Ping, Progress and Cancel until it is dropped.
pub struct Monitor {
    progress: ProgressPublisher,
    server: ControlServer,
}

impl Monitor {
    /// Listens.
    pub fn bind(config: MonitorConfig) -> Result<Self, TransportError> {
        let progress = ProgressPublisher::new();
        let host = Watched {
            progress: progress.clone(),
            on_cancel: config.on_cancel,
        };
        let accepted = vec![PeerPattern::AnyOperator];
        let listener = listen(config.listen)?;
        let server = ControlServer::start(listener, &config.identity, accepted, host)?;
        Ok(Self { progress, server })
    }

    /// Returns the address, with the port that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns where the state of the run is published.
    pub fn progress(&self) -> ProgressPublisher {
        self.progress.clone()
    }

    /// Tells the result to those who follow progress, and ends.
    pub fn finish(self, result: RunResult) {
        let summary = PushSummary {
            transport: "Local".to_owned(),
            ..result.into()
        };
        self.progress
            .finish(|update| update.summary = Some(summary));
    }
}

/// A run that is watched and takes no session.
struct Watched {
    progress: ProgressPublisher,
    on_cancel: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Host for Watched {
    async fn push(
        &self,
        _peer: Peer,
        _requests: Streaming<ClientPushRequest>,
    ) -> Result<Responses, Status> {
        Err(Status::unimplemented(
            "this mover has both volumes and takes no session",
        ))
    }

    fn progress(&self) -> watch::Receiver<ProgressUpdate> {
        self.progress.subscribe()
    }

    fn cancel(&self, reason: &str) {
        (self.on_cancel)(reason);
    }
}
