//! Why a command that asks a daemon comes to nothing.

use blit_crds::outcome::ExitCode;
use blit_transport::TransportError;

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
    /// The daemon cannot be asked, or refused.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl RemoteError {
    /// Returns the exit code for this error.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Url(_) => ExitCode::Usage,
            Self::Access(error) => error.exit_code(),
            // A directory that could not be read to its end is no root that may not be used.
            Self::Transport(TransportError::Source(_)) => ExitCode::EntriesFailed,
            Self::Transport(error) => code_of_session(error),
        }
    }
}
