//! The types of the `MirrorJob` resource, group `blit.dev`, version `v1alpha1`.
//!
//! One `MirrorJob` is one run from one source to one destination. The doc comments of these types
//! become the descriptions in the CustomResourceDefinition, so they are written for the people who
//! write manifests. Reading is lenient, so that an operator survives objects written for a newer
//! version; strictness towards a person's file is the business of [`crate::manifest`].
//!
//! Non-goals: schedules and anything that needs more than the object itself.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of every public struct within a function"
)]

mod deletion;
mod endpoint;
mod mover;
mod progress;
mod rules;
mod spec;
mod status;
mod transport;

pub use deletion::{Deletion, MaxDelete, MaxDeleteError};
pub use endpoint::{
    AccessMode, ClaimTemplate, Destination, DestinationClaim, HostPath, InUse, Nodes, Source,
    SourceClaim,
};
pub use mover::{Mover, MoverSecurityContext, MoverSide, PodSecurity, PodSettings, Side};
pub use progress::{Plan, Progress, Verification};
pub use spec::{
    Compare, DEFAULT_BACKOFF_LIMIT, DEFAULT_PROGRESS_DEADLINE_SECONDS, Filter, MirrorJob,
    MirrorJobSpec, Operation, Verify,
};
pub use status::{
    Attempt, EndpointStatus, FailedFile, Failure, MirrorJobStatus, Phase, SelectedTransport,
    TransportStatus, TriedTransport,
};
pub use transport::{Encryption, Fallback, Transport, TransportKind};

/// API group of the resource.
pub const GROUP: &str = "blit.dev";
/// API version of the resource, with its group, as it stands in a manifest.
pub const API_VERSION: &str = "blit.dev/v1alpha1";
/// Kind of the resource.
pub const KIND: &str = "MirrorJob";
