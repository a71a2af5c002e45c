//! Why a pass could not be finished.

use thiserror::Error;

use crate::identity::IdentityError;
use crate::mirrorjob::apply::WriteError;
use crate::mirrorjob::build::BuildError;

/// A pass that could not be finished; it is tried again.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The cluster could not be read.
    #[error("cannot read {what}: {source}")]
    Read {
        /// What was read.
        what: &'static str,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The cluster could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The objects of an attempt cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The identities of an attempt cannot be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ReconcileError {
    /// Returns the name of the kind of error, as a label of metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Read { .. } => "Read",
            Self::Write(WriteError::NotLeader) => "NotLeader",
            Self::Write(WriteError::Conflict { .. }) => "Conflict",
            Self::Write(WriteError::Rejected(_)) => "Rejected",
            Self::Write(WriteError::Api { .. }) => "Write",
            Self::Build(_) => "Build",
            Self::Identity(_) => "Identity",
        }
    }

    /// Whether only what was known is out of date.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Write(WriteError::Conflict { .. }))
    }

    /// Makes the error of a read.
    pub(crate) fn read(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Read {
            what,
            source: Box::new(source),
        }
    }
}
