//! The types of conditions and the reasons that are not failures, as constants. Why a job fails or waits
//! is in [`blit_crds::outcome::Reason`].

/// The job is done (terminal).
pub const COMPLETE: &str = "Complete";
/// The job was given up (terminal).
pub const FAILED: &str = "Failed";
/// The destination is as asked; True together with Complete.
pub const READY: &str = "Ready";
/// The job is stopped by `spec.suspend`.
pub const SUSPENDED: &str = "Suspended";
/// Volumes, nodes and permissions were found to be as the job needs them.
pub const PREFLIGHT_PASSED: &str = "PreflightPassed";
/// Movers are at work.
pub const PROGRESSING: &str = "Progressing";
/// The operator receives the figures of the movers.
pub const PROGRESS_AVAILABLE: &str = "ProgressAvailable";
/// All metadata could be kept.
pub const METADATA_PRESERVED: &str = "MetadataPreserved";
/// What was written was proven to be what was read.
pub const VERIFIED: &str = "Verified";

/// All types, in the order in which they are shown.
pub const ALL: [&str; 9] = [
    COMPLETE,
    FAILED,
    READY,
    SUSPENDED,
    PREFLIGHT_PASSED,
    PROGRESSING,
    PROGRESS_AVAILABLE,
    METADATA_PRESERVED,
    VERIFIED,
];

/// Nothing is known yet.
pub const REASON_PENDING: &str = "Pending";
/// Movers are being started.
pub const REASON_STARTING: &str = "Starting";
/// Movers are at work.
pub const REASON_RUNNING: &str = "Running";
/// The job ended well.
pub const REASON_COMPLETED: &str = "Completed";
/// The job ended, but not well.
pub const REASON_NOT_COMPLETED: &str = "NotCompleted";
/// `spec.suspend` is true.
pub const REASON_SUSPENDED: &str = "SuspendedBySpec";
/// `spec.suspend` is false.
pub const REASON_RESUMED: &str = "NotSuspended";
/// Every kind of metadata was kept.
pub const REASON_ALL_KEPT: &str = "AllKept";
/// Some metadata could not be kept.
pub const REASON_NOT_KEPT: &str = "NotKept";
/// Volumes, nodes and permissions are as the job needs them.
pub const REASON_FOUND: &str = "Found";
/// What arrived is what was sent.
pub const REASON_PROVEN: &str = "Proven";
/// What arrived of some files was something else, each time it was tried.
pub const REASON_MISMATCH: &str = "Mismatch";
/// The job waits for its turn.
pub const REASON_QUEUED: &str = "Queued";
/// The mover does not answer the operator.
pub const REASON_UNREACHABLE: &str = "MoverUnreachable";
