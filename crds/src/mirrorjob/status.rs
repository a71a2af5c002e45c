//! What is known about a run. The whole stays below 64 KiB: every list and string has a bound.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::progress::{Plan, Progress, Verification};
use super::transport::{Encryption, TransportKind};

/// What is known about a run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MirrorJobStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Where the run is, for people; programs read the conditions.
    #[serde(default)]
    pub phase: Phase,

    /// When the first pod was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// When the job completed or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// When something was last copied, deleted or compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_progress_time: Option<Time>,

    /// Place in the queue, from 1, while the job waits for movers to become free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i32>,

    /// What the job waits for, for example another MirrorJob with the same destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub waiting_for: Option<String>,

    /// How far the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,

    /// What a dry run would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,

    /// How the data travels, and why not otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportStatus>,

    /// What the verification found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,

    /// The place that is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<EndpointStatus>,

    /// The place that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<EndpointStatus>,

    /// The last ten attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub attempts: Vec<Attempt>,

    /// How many attempts there were.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts_total: i32,

    /// Why the job failed, or why its last attempt did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,

    /// The first 20 entries that could not be copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failed_files: Vec<FailedFile>,

    /// Complete, Failed, Ready, Suspended, PreflightPassed, Progressing, ProgressAvailable,
    /// MetadataPreserved and Verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a run is, for people. Derived from the conditions and the movers' reports.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Seen by nobody yet.
    #[default]
    Pending,
    /// Waits for its turn.
    Queued,
    /// Waits for volumes, nodes and pods.
    Preparing,
    /// Copies.
    Running,
    /// Deletes what the source does not have.
    Deleting,
    /// Compares what was written.
    Verifying,
    /// Stopped by `suspend`.
    Suspended,
    /// Done.
    Complete,
    /// Given up.
    Failed,
}

/// How the data travels, and why not otherwise.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TransportStatus {
    /// The data plane in use: `Local` when one pod mounts both volumes, else `TCP`, `GRPC` or `RDMA`. Where none could be
    /// used it is the one that was wanted, and `tried` names it too.
    pub selected: SelectedTransport,

    /// What is encrypted on the wire.
    pub encryption: Encryption,

    /// Whether the content of large files goes to the network without passing through the mover.
    #[serde(default)]
    pub zero_copy: bool,

    /// Data planes that were tried before, each with the reason why it was given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub tried: Vec<TriedTransport>,
}

impl TransportStatus {
    /// Returns the data planes instead of which another one is used.
    pub fn given_up(&self) -> impl Iterator<Item = &TriedTransport> {
        let used = match self.selected {
            SelectedTransport::Local => None,
            SelectedTransport::Tcp => Some(TransportKind::Tcp),
            SelectedTransport::Grpc => Some(TransportKind::Grpc),
            SelectedTransport::Rdma => Some(TransportKind::Rdma),
        };
        let tried = self.tried.iter();
        tried.filter(move |tried| Some(tried.kind) != used)
    }
}

/// A data plane in use.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectedTransport {
    /// Both volumes in one process.
    Local,
    /// Zero-copy TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// Data inside the control connection.
    #[serde(rename = "GRPC")]
    Grpc,
    /// Remote direct memory access.
    #[serde(rename = "RDMA")]
    Rdma,
}

/// A data plane that was given up.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TriedTransport {
    /// The data plane.
    pub kind: TransportKind,
    /// Why it was given up.
    #[schemars(length(max = 256))]
    pub reason: String,
}

/// One end of the run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// The place for people, for example `pvc/raw:/`.
    #[serde(default)]
    #[schemars(length(max = 4608))]
    pub display: String,
    /// Node of the mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// Pod of the mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// PersistentVolume behind the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub volume: Option<String>,
}

/// One attempt: a pair of movers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Number of the attempt, from 1.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// When its first pod was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When its last pod ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Exit code of the mover that decided how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Node of that mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// Bytes it copied.
    #[serde(default)]
    pub bytes_done: i64,
}

/// Why a job or an attempt failed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One word, for programs.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub reason: String,
    /// A sentence with cause and remedy.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
    /// Exit code of the mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The end of the mover's log; only `blit run` writes it, as the operator may not read logs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub log_tail: String,
}

/// An entry that could not be copied.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FailedFile {
    /// Path below the root, control characters and bytes that are not UTF-8 escaped.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub path: String,
    /// What went wrong.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub error: String,
}
