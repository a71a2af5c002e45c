//! Why a command that asks a daemon comes to nothing.

use blit_crds::outcome::ExitCode;
use blit_transport::TransportError;
use blit_transport::path::InvalidPath;

use super::remote::{AccessError, InvalidUrl};
use crate::pod::code_of_session;

/// A command that asks a daemon comes to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// The operand cannot be understood.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// This side has no access.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A path cannot be used.
    #[error("{0}; name what is to be removed, below the directory of the URL")]
    Path(#[from] InvalidPath),
    /// Nobody can say yes.
    #[error(
        "a purge asks before it removes anything, and stdin is no terminal; add --yes, or --dry-run"
    )]
    NobodyToAsk,
    /// The daemon cannot be asked, or refused.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl RemoteError {
    /// Returns the exit code for this error.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Url(_) | Self::Path(_) | Self::NobodyToAsk => ExitCode::Usage,
            Self::Access(error) => error.exit_code(),
            // A directory that could not be read to its end is no root that may not be used.
            Self::Transport(TransportError::Source(_)) => ExitCode::EntriesFailed,
            Self::Transport(error) => code_of_session(error),
        }
    }
}
