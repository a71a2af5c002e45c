//! Why a session failed, in classes that the program turns into exit codes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use blit_proto::control::ControlError;
use blit_proto::pki::PeerNameError;
use blit_proto::pki::tls::TlsError;

use crate::wire::Violation;

/// A session failed, or never came about.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The control plane cannot be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The data port cannot be used although the control port can.
    #[error("cannot open the data connection to {address}: {reason}; {}", reason.remedy())]
    Data {
        /// Address that was dialled.
        address: SocketAddr,
        /// Why.
        reason: DataFailure,
    },
    /// No data plane can be used.
    #[error("no data connection can be opened: {0}")]
    Planes(String),
    /// The other end of a data socket does not hold the key of the token.
    #[error(
        "the data port {address} did not prove that it belongs to the other side of the session; something else \
         answers there: have it lead to where the control port leads"
    )]
    DataNotAuthenticated {
        /// Address that was dialled.
        address: SocketAddr,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No source opened a session in time.
    #[error(
        "no source connected to {address} within {} s; check that the source runs and can reach this \
         address", waited.as_secs()
    )]
    NoSource {
        /// Where it was waited.
        address: SocketAddr,
        /// For how long.
        waited: Duration,
    },
    /// The session broke off.
    #[error("the session with {peer} broke off: {reason}; run again: what has arrived is kept")]
    Lost {
        /// The other side.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The other side broke the protocol.
    #[error("{0}")]
    Protocol(#[from] Violation),
    /// Nothing moved for the progress deadline.
    #[error(
        "nothing moved for {} s: no listing, no data and no progress of the destination, and this side waited for {waited}; look for a \
         stuck file system on either side, or raise the progress deadline", deadline.as_secs()
    )]
    Stalled {
        /// The deadline.
        deadline: Duration,
        /// What the source waited for.
        waited: String,
    },
    /// This side was asked to stop.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// The root of the source cannot be read.
    #[error("{0}")]
    Source(String),
    /// The identity is not usable.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// The job has no usable UID or attempt.
    #[error(transparent)]
    Name(#[from] PeerNameError),
    /// The machine did not give what a session needs.
    #[error("cannot start the session: {0}")]
    System(#[from] io::Error),
}

/// Why a data connection could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataFailure {
    /// Nothing accepts connections there, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// The other end closed it when it saw the token.
    #[error("the other side refused the token")]
    Refused,
    /// The other end accepted it, and said nothing.
    #[error("the other side did not answer")]
    Silent,
    /// There is no TLS on it, or that of somebody else.
    #[error("TLS failed: {0}")]
    Tls(String),
}

impl DataFailure {
    /// Returns what helps.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "allow TCP to this port in firewalls and network policies, or choose another with --data-port at the side \
                 that listens"
            }
            Self::Refused => {
                "look for something else that answers at this port, such as a port that is forwarded elsewhere: it has to \
                 lead to where the control port leads"
            }
            Self::Silent => {
                "look for a proxy, a firewall or a load balancer that accepts connections for this port and does not pass \
                 them on"
            }
            Self::Tls(_) => {
                "look for something else that answers at this port, or for what breaks TLS open on the way: it has to lead \
                 to where the control port leads"
            }
        }
    }
}

/// Classes of [`TransportError`], one for each exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peer cannot be reached, or went away.
    Unreachable,
    /// One side does not accept the identity of the other, or does not allow it this.
    NotAuthenticated,
    /// No version in common.
    Incompatible,
    /// Nothing moved for too long.
    Stalled,
    /// This side was asked to stop.
    Interrupted,
    /// What was asked for does not exist, or cannot be asked for.
    Usage,
    /// Anything else.
    Other,
}

impl TransportError {
    /// Returns the class of the error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Control(ControlError::Unreachable { .. })
            | Self::Data { .. }
            | Self::Planes(_)
            | Self::NoSource { .. }
            | Self::Lost { .. } => Kind::Unreachable,
            Self::Control(ControlError::NotAuthenticated { .. } | ControlError::Denied { .. })
            | Self::DataNotAuthenticated { .. } => Kind::NotAuthenticated,
            Self::Control(ControlError::Incompatible { .. }) => Kind::Incompatible,
            Self::Control(ControlError::Usage { .. }) => Kind::Usage,
            Self::Stalled { .. } => Kind::Stalled,
            Self::Interrupted(_) => Kind::Interrupted,
            Self::Control(ControlError::Refused { .. } | ControlError::Identity(_))
            | Self::Listen { .. }
            | Self::Protocol(_)
            | Self::Source(_)
            | Self::Identity(_)
            | Self::Name(_)
            | Self::System(_) => Kind::Other,
        }
    }
}
