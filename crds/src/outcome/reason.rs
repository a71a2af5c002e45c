//! The words for why a job failed or waits.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::exit_code::ExitCode;
use super::termination::Guard;

/// Why an attempt failed, why a job is over, or what it waits for. One word, a public contract.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A mover was interrupted by a signal.
    Interrupted,
    /// Files changed while they were read.
    SourceChanged,
    /// Some entries could not be copied.
    EntriesFailed,
    /// One mover could not reach the other.
    PeerUnreachable,
    /// Nothing moved for the progress deadline.
    Stalled,
    /// A mover used more memory than its limit.
    #[serde(rename = "OOMKilled")]
    OomKilled,
    /// A mover was evicted or its node drained.
    PodDisrupted,
    /// An error without a reason of its own.
    InternalError,

    /// The MirrorJob asks for something that cannot be.
    Invalid,
    /// Deletions were withheld below directories that could not be listed completely.
    DeletionsWithheld,
    /// The source is empty.
    SourceEmpty,
    /// Source and destination have nothing in common.
    NothingInCommon,
    /// More would be deleted than is allowed.
    MaxDeleteExceeded,
    /// Contents differ.
    VerifyFailed,
    /// The destination is full.
    DestinationFull,
    /// A root may not be used.
    PermissionDenied,
    /// One mover does not accept the identity of the other.
    AuthenticationFailed,
    /// The movers do not speak a common version.
    IncompatibleVersion,
    /// Too many attempts failed.
    BackoffLimitExceeded,
    /// The time for the whole job is over.
    DeadlineExceeded,
    /// No attempt made progress in time.
    ProgressDeadlineExceeded,
    /// The job waited too long to start.
    StartupDeadlineExceeded,
    /// The wanted data plane cannot be used and fallback is denied.
    TransportUnavailable,

    /// No node fits both the volumes and the settings.
    Unschedulable,
    /// Another pod uses the destination.
    VolumeInUse,
    /// A claim does not exist.
    ClaimNotFound,
    /// A claim has no volume yet.
    ClaimNotBound,
    /// The image of the mover cannot be pulled.
    ImageUnavailable,
    /// The namespace's quota has no room for the movers.
    QuotaExceeded,
    /// Admission refused a mover.
    PodRejected,
    /// Another MirrorJob writes an overlapping place.
    DestinationBusy,
    /// The node of a mover does not answer.
    NodeUnreachable,
    /// The namespace does not allow the pod security level.
    PermissionNotGranted,
    /// The administrator does not allow the hostPath.
    HostPathNotAllowed,
}

/// What happens to a job for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Another attempt is made.
    Retried,
    /// The job fails.
    Terminal,
    /// The job waits until the cause is gone or its startup deadline is over.
    Waiting,
}

impl Reason {
    /// All reasons, by class.
    pub const ALL: [Self; 34] = [
        Self::Interrupted,
        Self::SourceChanged,
        Self::EntriesFailed,
        Self::PeerUnreachable,
        Self::Stalled,
        Self::OomKilled,
        Self::PodDisrupted,
        Self::InternalError,
        Self::Invalid,
        Self::DeletionsWithheld,
        Self::SourceEmpty,
        Self::NothingInCommon,
        Self::MaxDeleteExceeded,
        Self::VerifyFailed,
        Self::DestinationFull,
        Self::PermissionDenied,
        Self::AuthenticationFailed,
        Self::IncompatibleVersion,
        Self::BackoffLimitExceeded,
        Self::DeadlineExceeded,
        Self::ProgressDeadlineExceeded,
        Self::StartupDeadlineExceeded,
        Self::TransportUnavailable,
        Self::Unschedulable,
        Self::VolumeInUse,
        Self::ClaimNotFound,
        Self::ClaimNotBound,
        Self::ImageUnavailable,
        Self::QuotaExceeded,
        Self::PodRejected,
        Self::DestinationBusy,
        Self::NodeUnreachable,
        Self::PermissionNotGranted,
        Self::HostPathNotAllowed,
    ];

    /// Returns the reason for an exit code; `guard` says which rule of the guard refused, where the
    /// mover told. Success has no reason.
    pub fn of(code: ExitCode, guard: Option<Guard>) -> Option<Self> {
        Some(match code {
            ExitCode::Complete => return None,
            ExitCode::OtherError => Self::InternalError,
            ExitCode::Usage => Self::Invalid,
            ExitCode::EntriesFailed => Self::EntriesFailed,
            ExitCode::DeletionsWithheld => Self::DeletionsWithheld,
            ExitCode::GuardRefused => match guard {
                Some(Guard::SourceEmpty) => Self::SourceEmpty,
                Some(Guard::NothingInCommon) => Self::NothingInCommon,
                Some(Guard::MaxDelete) | None => Self::MaxDeleteExceeded,
            },
            ExitCode::SourceChanged => Self::SourceChanged,
            ExitCode::VerificationFailed => Self::VerifyFailed,
            ExitCode::DestinationFull => Self::DestinationFull,
            ExitCode::PermissionDenied => Self::PermissionDenied,
            ExitCode::PeerUnreachable => Self::PeerUnreachable,
            ExitCode::NotAuthenticated => Self::AuthenticationFailed,
            ExitCode::IncompatibleVersions => Self::IncompatibleVersion,
            ExitCode::Stalled => Self::Stalled,
            ExitCode::DeadlineExceeded => Self::DeadlineExceeded,
            ExitCode::Interrupted => Self::Interrupted,
        })
    }

    /// Returns what happens to a job for this reason.
    pub const fn class(self) -> Class {
        match self {
            Self::Interrupted
            | Self::SourceChanged
            | Self::EntriesFailed
            | Self::PeerUnreachable
            | Self::Stalled
            | Self::OomKilled
            | Self::PodDisrupted
            | Self::InternalError => Class::Retried,
            Self::Invalid
            | Self::DeletionsWithheld
            | Self::SourceEmpty
            | Self::NothingInCommon
            | Self::MaxDeleteExceeded
            | Self::VerifyFailed
            | Self::DestinationFull
            | Self::PermissionDenied
            | Self::AuthenticationFailed
            | Self::IncompatibleVersion
            | Self::BackoffLimitExceeded
            | Self::DeadlineExceeded
            | Self::ProgressDeadlineExceeded
            | Self::StartupDeadlineExceeded
            | Self::TransportUnavailable => Class::Terminal,
            Self::Unschedulable
            | Self::VolumeInUse
            | Self::ClaimNotFound
            | Self::ClaimNotBound
            | Self::ImageUnavailable
            | Self::QuotaExceeded
            | Self::PodRejected
            | Self::DestinationBusy
            | Self::NodeUnreachable
            | Self::PermissionNotGranted
            | Self::HostPathNotAllowed => Class::Waiting,
        }
    }

    /// Returns the word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupted => "Interrupted",
            Self::SourceChanged => "SourceChanged",
            Self::EntriesFailed => "EntriesFailed",
            Self::PeerUnreachable => "PeerUnreachable",
            Self::Stalled => "Stalled",
            Self::OomKilled => "OOMKilled",
            Self::PodDisrupted => "PodDisrupted",
            Self::InternalError => "InternalError",
            Self::Invalid => "Invalid",
            Self::DeletionsWithheld => "DeletionsWithheld",
            Self::SourceEmpty => "SourceEmpty",
            Self::NothingInCommon => "NothingInCommon",
            Self::MaxDeleteExceeded => "MaxDeleteExceeded",
            Self::VerifyFailed => "VerifyFailed",
            Self::DestinationFull => "DestinationFull",
            Self::PermissionDenied => "PermissionDenied",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::IncompatibleVersion => "IncompatibleVersion",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::StartupDeadlineExceeded => "StartupDeadlineExceeded",
            Self::TransportUnavailable => "TransportUnavailable",
            Self::Unschedulable => "Unschedulable",
            Self::VolumeInUse => "VolumeInUse",
            Self::ClaimNotFound => "ClaimNotFound",
            Self::ClaimNotBound => "ClaimNotBound",
            Self::ImageUnavailable => "ImageUnavailable",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::PodRejected => "PodRejected",
            Self::DestinationBusy => "DestinationBusy",
            Self::NodeUnreachable => "NodeUnreachable",
            Self::PermissionNotGranted => "PermissionNotGranted",
            Self::HostPathNotAllowed => "HostPathNotAllowed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
