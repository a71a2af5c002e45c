//! How the bytes travel between the two hosts.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the data travels when source and destination are on different nodes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Transport {
    /// The data plane: `Auto` takes the fastest that works; `RDMA`, `TCP` and `GRPC` name one. `GRPC` is encrypted and
    /// slower, and needs no port but that of the control plane.
    #[serde(default)]
    pub kind: TransportKind,

    /// Whether another data plane may be used when the wanted one cannot be (`Allow`), or the job
    /// fails (`Deny`). What `Auto` wants is TCP.
    #[serde(default)]
    pub fallback: Fallback,

    /// What is encrypted: `ControlPlane` (names, metadata and keys; the content of files travels in
    /// the clear and is not protected against somebody on the path) or `All`.
    #[serde(default)]
    pub encryption: Encryption,
}

/// A data plane.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportKind {
    /// The fastest that works.
    #[default]
    Auto,
    /// Remote direct memory access over the network of the hosts.
    #[serde(rename = "RDMA")]
    Rdma,
    /// Zero-copy TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// Data inside gRPC, over the port of the control plane.
    #[serde(rename = "GRPC")]
    Grpc,
}

/// What to do when the wanted data plane cannot be used.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Use the next best.
    #[default]
    Allow,
    /// Fail.
    Deny,
}

/// What is encrypted on the wire.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// The control plane only.
    #[default]
    ControlPlane,
    /// The content of files too.
    All,
}
