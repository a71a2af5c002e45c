//! Which data planes may be used, which is in use, and which could not be.

pub(crate) mod race;
pub(crate) mod tuning;

use std::fmt;

use blit_proto::v2::PlaneTried;

/// Longest reason that is taken from a peer.
const REASON_CHARS: usize = 512;

/// A way for content to get from one host to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaneKind {
    /// Sockets of its own.
    Tcp,
    /// Streams inside gRPC, on connections of their own.
    Grpc,
}

impl PlaneKind {
    /// Returns the word used in summaries and in a MirrorJob.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Grpc => "GRPC",
        }
    }

    /// Returns the plane of a word; `None` for one that this version does not know.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Tcp, Self::Grpc]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for PlaneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which planes may be used. At least one must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanePolicy {
    /// TCP is tried first.
    pub tcp: bool,
    /// Data may travel inside gRPC.
    pub grpc: bool,
    /// Data over TCP travels inside TLS; inside gRPC it always does.
    pub encrypt: bool,
}

impl Default for PlanePolicy {
    fn default() -> Self {
        Self::ANY
    }
}

impl PlanePolicy {
    /// TCP, and gRPC where TCP cannot be used.
    pub const ANY: Self = Self {
        tcp: true,
        grpc: true,
        encrypt: false,
    };

    /// Nothing but TCP.
    pub const TCP: Self = Self {
        tcp: true,
        grpc: false,
        encrypt: false,
    };

    /// Nothing but gRPC.
    pub const GRPC: Self = Self {
        tcp: false,
        grpc: true,
        encrypt: false,
    };

    /// Returns what is left of it with a peer that takes no data inside gRPC; `None`: nothing.
    pub(crate) fn without_grpc(self) -> Option<Self> {
        self.tcp.then_some(Self {
            grpc: false,
            ..self
        })
    }

    /// Returns the plane that is tried first.
    pub(crate) fn first(self) -> PlaneKind {
        match self.tcp {
            true => PlaneKind::Tcp,
            false => PlaneKind::Grpc,
        }
    }
}

/// A plane that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which.
    pub plane: PlaneKind,
    /// Why, for people.
    pub reason: String,
}

impl Tried {
    /// Returns what is said of it on the wire.
    pub fn to_wire(&self) -> PlaneTried {
        PlaneTried {
            kind: self.plane.as_str().to_owned(),
            reason: self.reason.clone(),
        }
    }

    /// Takes what a peer said; `None` for a plane that this version does not know.
    pub(crate) fn from_wire(tried: &PlaneTried) -> Option<Self> {
        let reason = tried.reason.chars().filter(|c| !c.is_control());
        Some(Self {
            plane: PlaneKind::from_word(&tried.kind)?,
            reason: reason.take(REASON_CHARS).collect(),
        })
    }
}
