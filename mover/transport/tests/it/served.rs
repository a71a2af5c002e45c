//! A daemon on this machine, and how to get in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blit_proto::control::access::{Access, DaemonAccess};
use blit_proto::pki::daemon::{Pin, Trust, new_authority};
use blit_proto::pki::{Identity, PeerName};
use blit_transport::auth::bearer::TokenKey;
use blit_transport::auth::grant::{Grant, Scopes};
use blit_transport::daemon::{Daemon, DaemonConfig, Handler};
use blit_transport::path::RelPath;

/// A daemon on ports that the kernel chose.
pub(crate) struct Served {
    pub(crate) daemon: Daemon,
    identity: Identity,
    key: TokenKey,
}

impl Served {
    pub(crate) fn new(handler: impl Handler, unread_deadline: Duration) -> Self {
        let (authority, _) = new_authority(SystemTime::now()).unwrap();
        let identity = authority.issue(&PeerName::daemon("test").unwrap()).unwrap();
        let key = TokenKey::random().unwrap();
        let daemon = Daemon::bind(DaemonConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_port: 0,
            identity: identity.clone(),
            token_key: key.clone(),
            read_only: false,
            progress_deadline: Duration::from_secs(600),
            unread_deadline,
            handler: Arc::new(handler),
        })
        .unwrap();
        Self {
            daemon,
            identity,
            key,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.daemon.addresses().control
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::Pin(self.pin())
    }

    /// Returns the access that a new token gives.
    pub(crate) fn access(&self) -> Access {
        Access::Daemon(self.daemon_access())
    }

    pub(crate) fn daemon_access(&self) -> DaemonAccess {
        let grant = Grant {
            scopes: Scopes::all(),
            prefix: RelPath::default(),
        };
        let hour = Duration::from_secs(3600);
        let token = self.key.issue(&grant, hour, self.pin(), SystemTime::now());
        DaemonAccess {
            trust: self.trust(),
            certificate: None,
            token: Some(token.unwrap()),
        }
    }

    fn pin(&self) -> Pin {
        Pin::of_pem(self.identity.ca_pem()).unwrap()
    }
}
