//! Why a mover ends before, beside or instead of a run of the engine.

use blit_crds::outcome::ExitCode;
use blit_engine::fs::FsError;
use blit_proto::pki::IdentityError;
use blit_transport::location::Overlap;
use blit_transport::planes::{PlaneKind, Tried};
use blit_transport::{Kind, TransportError};

use super::parent::ParentError;
use crate::cli::SelectionError;
use crate::report::summary::code_of_root;
use crate::roots::RootError;

/// A mover cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum PodError {
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A call on the root failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// The two roots are in each other's way.
    #[error(transparent)]
    Overlap(#[from] Overlap),
    /// The identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The session failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Whoever started this mover is gone.
    #[error(transparent)]
    Parent(#[from] ParentError),
    /// The rules of selection cannot be used.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The machine did not give what a mover needs.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl PodError {
    /// Returns true if no data plane that may be used could be.
    pub(super) fn is_of_planes(&self) -> bool {
        matches!(
            self,
            Self::Transport(TransportError::Planes(_) | TransportError::Data { .. })
        )
    }

    /// Returns the data plane of which this is the end, where nothing but that could be used.
    pub(super) fn tried(&self) -> Option<Tried> {
        match self {
            Self::Transport(TransportError::Data { address, reason }) => Some(Tried {
                plane: PlaneKind::Tcp,
                reason: format!("{address}: {reason}"),
            }),
            _ => None,
        }
    }

    /// Returns true if its message may name something below a root.
    pub(super) fn names_files(&self) -> bool {
        matches!(self, Self::Transport(TransportError::Stalled { .. }))
    }

    /// Returns the exit code for this error.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Root(error) => error.exit_code(),
            Self::File(error) => code_of_root(error.errno),
            Self::Overlap(_) | Self::Selection(_) => ExitCode::Usage,
            Self::Transport(error) => code_of_session(error),
            Self::Parent(ParentError::Gone) => ExitCode::Interrupted,
            Self::Identity(_) | Self::Parent(_) | Self::System(_) => ExitCode::OtherError,
        }
    }
}

/// Returns the exit code of a session that failed.
pub(crate) fn code_of_session(error: &TransportError) -> ExitCode {
    match (error.kind(), error) {
        (Kind::Unreachable, _) => ExitCode::PeerUnreachable,
        (Kind::NotAuthenticated, _) => ExitCode::NotAuthenticated,
        (Kind::Incompatible, _) => ExitCode::IncompatibleVersions,
        (Kind::Stalled, _) => ExitCode::Stalled,
        (Kind::Interrupted, _) => ExitCode::Interrupted,
        (Kind::Usage, _) => ExitCode::Usage,
        (Kind::Other, TransportError::Source(_)) => ExitCode::PermissionDenied,
        (Kind::Other, _) => ExitCode::OtherError,
    }
}

#[cfg(test)]
mod tests;
