//! The sets of labels.

use blit_crds::mirrorjob::{Phase, SelectedTransport, TransportKind};
use prometheus_client::encoding::EncodeLabelSet;

/// All phases, as words.
pub(super) const PHASES: [&str; 9] = [
    "Pending",
    "Queued",
    "Preparing",
    "Running",
    "Deleting",
    "Verifying",
    "Suspended",
    "Complete",
    "Failed",
];

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Job {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The phase of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct JobPhase {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) phase: &'static str,
}

/// A reason of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub(super) struct JobReason {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) reason: String,
}

/// Where the data of an object goes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct JobInfo {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) transport: &'static str,
}

/// A data plane that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub(super) struct JobFallback {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) reason: String,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PhaseOnly {
    pub(super) phase: &'static str,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonOnly {
    pub(super) reason: &'static str,
}

/// A class of errors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Class {
    pub(super) class: &'static str,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabels {
    pub(super) result: &'static str,
    pub(super) transport: &'static str,
}

/// The version of the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Version {
    pub(super) version: &'static str,
}

/// Returns the word for a phase.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Queued => "Queued",
        Phase::Preparing => "Preparing",
        Phase::Running => "Running",
        Phase::Deleting => "Deleting",
        Phase::Verifying => "Verifying",
        Phase::Suspended => "Suspended",
        Phase::Complete => "Complete",
        Phase::Failed => "Failed",
    }
}

/// Returns the word for a data plane in use; empty before one is.
pub(super) fn selected(transport: Option<SelectedTransport>) -> &'static str {
    match transport {
        None => "",
        Some(SelectedTransport::Local) => "Local",
        Some(SelectedTransport::Tcp) => "TCP",
        Some(SelectedTransport::Grpc) => "GRPC",
        Some(SelectedTransport::Rdma) => "RDMA",
    }
}

/// Returns the word for a data plane that was tried.
pub(super) fn kind(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Auto => "Auto",
        TransportKind::Rdma => "RDMA",
        TransportKind::Tcp => "TCP",
        TransportKind::Grpc => "GRPC",
    }
}
