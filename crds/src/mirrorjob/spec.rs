//! What a user asks for.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deletion::Deletion;
use super::endpoint::{Destination, Source};
use super::mover::Mover;
use super::rules;
use super::status::MirrorJobStatus;
use super::transport::Transport;

/// Failed attempts before a job fails, as for a Kubernetes Job.
pub const DEFAULT_BACKOFF_LIMIT: i32 = 6;
/// Seconds without any progress after which a mover gives up.
pub const DEFAULT_PROGRESS_DEADLINE_SECONDS: i64 = 600;

/// What to mirror, from where to where, and how.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "blit.dev",
    version = "v1alpha1",
    kind = "MirrorJob",
    namespaced,
    status = "MirrorJobStatus",
    derive = "PartialEq",
    shortname = "mj",
    category = "blit",
    doc = "One run that makes a destination like its source: a directory tree is streamed between two volumes or nodes.",
    validation = rules::job_name(),
    printcolumn(name = "Operation", type_ = "string", json_path = ".spec.operation"),
    printcolumn(name = "Source", type_ = "string", json_path = ".status.source.display"),
    printcolumn(name = "Destination", type_ = "string", json_path = ".status.destination.display"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.display"),
    printcolumn(name = "Throughput", type_ = "string", json_path = ".status.progress.rate"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Transport",
        type_ = "string",
        json_path = ".status.transport.selected",
        priority = 1
    ),
    printcolumn(
        name = "ETA",
        type_ = "integer",
        description = "Seconds that are left, by the rate of the moment",
        json_path = ".status.progress.etaSeconds",
        priority = 1
    ),
    printcolumn(
        name = "Files",
        type_ = "integer",
        json_path = ".status.progress.filesDone",
        priority = 1
    ),
    printcolumn(
        name = "Attempts",
        type_ = "integer",
        json_path = ".status.attemptsTotal",
        priority = 1
    ),
    printcolumn(
        name = "Source-Node",
        type_ = "string",
        json_path = ".status.source.node",
        priority = 1
    ),
    printcolumn(
        name = "Destination-Node",
        type_ = "string",
        json_path = ".status.destination.node",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.failure.reason",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::deletion_only_with_mirror(),
    validation = rules::disjoint_claim_paths(),
    validation = rules::disjoint_host_paths(),
    validation = rules::source_host_path_privileged(),
    validation = rules::destination_host_path_privileged(),
    validation = rules::rdma_privileged(),
    validation = rules::immutable("operation"),
    validation = rules::immutable("source"),
    validation = rules::immutable("destination"),
    validation = rules::immutable("compare"),
    validation = rules::immutable("verify"),
    validation = rules::immutable("filters"),
    validation = rules::immutable("deletion"),
    validation = rules::immutable("dryRun"),
    validation = rules::immutable("transport"),
    validation = rules::immutable("mover"),
    validation = rules::immutable("backoffLimit"),
    validation = rules::immutable("progressDeadlineSeconds"),
    validation = rules::immutable("startupDeadlineSeconds")
)]
pub struct MirrorJobSpec {
    /// `Mirror` makes the destination equal to the source and deletes what the source does not have;
    /// `Copy` deletes nothing.
    pub operation: Operation,

    /// Where the data comes from: exactly one of persistentVolumeClaim and hostPath.
    #[x_kube(validation = rules::one_source())]
    pub source: Source,

    /// Where the data goes: exactly one of persistentVolumeClaim, hostPath and nodes.
    #[x_kube(validation = rules::one_destination())]
    pub destination: Destination,

    /// How it is decided that a file is up to date: by size and modification time (`SizeAndTime`), or
    /// by content (`Checksum`).
    #[serde(default)]
    pub compare: Compare,

    /// Whether what arrived is proven to be what was sent (`Checksum`).
    #[serde(default)]
    pub verify: Verify,

    /// Patterns of what to leave out or to take in; the first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::one_filter())]
    pub filters: Vec<Filter>,

    /// Limits on what a mirror may delete. Only with operation Mirror.
    #[serde(default)]
    pub deletion: Deletion,

    /// Change nothing, and write to status.plan what a run would do.
    #[serde(default)]
    pub dry_run: bool,

    /// How the data travels.
    #[serde(default)]
    pub transport: Transport,

    /// The mover pods.
    #[serde(default)]
    pub mover: Mover,

    /// Highest rate in bytes a second, all streams together, for example 100Mi. No limit if absent.
    /// Can be changed while the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::positive_quantity())]
    pub bandwidth_limit: Option<Quantity>,

    /// Stop the movers and keep what they did; the job goes on from there when this becomes false.
    #[serde(default)]
    pub suspend: bool,

    /// How many attempts may fail before the job fails.
    #[serde(default = "backoff_limit")]
    #[schemars(range(min = 0))]
    pub backoff_limit: i32,

    /// Seconds without any progress after which an attempt fails.
    #[serde(default = "progress_deadline_seconds")]
    #[schemars(range(min = 1))]
    pub progress_deadline_seconds: i64,

    /// Seconds that the whole job may take, from its first pod on. No limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,

    /// Seconds that the job may wait for its claims, its nodes and its pods. No limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub startup_deadline_seconds: Option<i64>,

    /// Seconds after which a finished MirrorJob is deleted. Kept if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
}

/// What to do with the destination.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make the destination equal to the source, with deletions.
    Mirror,
    /// Bring over what the source has, without deletions.
    Copy,
}

/// How it is decided that a file is up to date.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By size and modification time.
    #[default]
    SizeAndTime,
    /// By content.
    Checksum,
}

/// How it is proven that what arrived is what was sent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Not beyond what the network does.
    #[default]
    None,
    /// By a hash of every file.
    Checksum,
}

/// A pattern that leaves entries out or takes them in: exactly one of its fields.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Filter {
    /// Leave out what matches.
    Exclude(#[schemars(length(min = 1, max = 4096))] String),
    /// Take in what matches, against a later exclude.
    Include(#[schemars(length(min = 1, max = 4096))] String),
}

fn backoff_limit() -> i32 {
    DEFAULT_BACKOFF_LIMIT
}

fn progress_deadline_seconds() -> i64 {
    DEFAULT_PROGRESS_DEADLINE_SECONDS
}
