//! A daemon: listens for as long as it lives, takes sessions of many clients, and answers their questions.
//!
//! It decides who may do what; what that means for files is up to a [`Handler`]. One listener takes the data
//! sockets of all sessions: the token that a socket begins with says which one it is for.
//!
//! Invariants: no call but by somebody who proved who they are; no path that is not below the root and below
//! what the caller may use; nothing is written where the daemon is read-only. What a session may do is
//! decided when it is opened, from who opened it.
//! Non-goals: files, the identity on disk.

mod ask;
mod lists;
mod places;
mod pull;
mod push;
mod service;
mod trial;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use blit_engine::entry::Entry;
use blit_engine::run::Purged;
use blit_proto::pki::{Identity, daemon as pki};

use crate::auth::bearer::TokenKey;
use crate::control::{ControlServer, listen};
use crate::data::tcp::DataListener;
use crate::destination::Addresses;
use crate::error::TransportError;
use crate::path::RelPath;
pub use ask::Ask;
pub use pull::Given;
pub use push::Pushed;
use service::{DaemonService, Shared};

/// How to serve.
pub struct DaemonConfig {
    /// Address and port of the control plane; port 0 is chosen by the kernel.
    pub listen: SocketAddr,
    /// Port of the data plane at the same address; 0 is chosen by the kernel.
    pub data_port: u16,
    /// Authority and certificate of the daemon.
    pub identity: Identity,
    /// Signs the tokens of the clients.
    pub token_key: TokenKey,
    /// Refuse everything that writes.
    pub read_only: bool,
    /// How long a pull in which nothing moves goes on.
    pub progress_deadline: Duration,
    /// How long nothing of a list may be read by who asked for it.
    pub unread_deadline: Duration,
    /// Does what has to do with files.
    pub handler: Arc<dyn Handler>,
}

/// What a daemon does with files. Paths have been judged; everything may block.
pub trait Handler: Send + Sync + 'static {
    /// Gives the entries of a directory, or the one of anything else, until `give` returns false. Returns
    /// why not all could be read, if so.
    fn list(
        &self,
        path: &RelPath,
        give: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<Option<String>, Refusal>;

    /// Opens a directory or a file for a client that pulls it.
    fn give(&self, path: &RelPath, one_file_system: bool) -> Result<Given, Refusal>;
    /// Runs a session that was opened to its end, on a thread of its own.
    fn push(&self, pushed: Pushed);

    /// Removes entries of any kind with all that is below them, or says what that would do.
    fn purge(&self, paths: &[RelPath], dry_run: bool) -> Result<Purged, Refusal>;
}

/// Something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What was named does not exist, or cannot be named.
    #[error("{0}")]
    Usage(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// A daemon that serves. Dropping it ends everything.
pub struct Daemon {
    addresses: Addresses,
    shared: Arc<Shared>,
    _server: ControlServer,
    _data: DataListener,
}

impl Daemon {
    /// Opens both ports and serves.
    pub fn bind(config: DaemonConfig) -> Result<Self, TransportError> {
        let tls = pki::server_config(&config.identity)?;
        let control = listen(config.listen)?;
        let data = listen(SocketAddr::new(config.listen.ip(), config.data_port))?;
        let data = DataListener::start(data, Some(Arc::clone(&tls)))?;
        let addresses = Addresses {
            control: control.local_addr()?,
            data: data.address(),
        };
        let shared = Arc::new(Shared::new(config, &data));
        let (service, judging) = (DaemonService(Arc::clone(&shared)), Arc::clone(&shared));
        let judge = Arc::new(move |call| judging.judge(call));
        let server = ControlServer::serve(control, tls, service, judge)?;
        Ok(Self {
            addresses,
            shared,
            _server: server,
            _data: data,
        })
    }

    /// Returns the addresses, with the ports that the kernel chose.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Ends the pulls under way, and takes no more: each client is told why. What a client pushes is ended by the
    /// [`Handler`] that runs it.
    pub fn end_pulls(&self, reason: &str) {
        self.shared.pulls.end(reason);
    }
}
