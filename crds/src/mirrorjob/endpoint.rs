//! Where the data comes from and where it goes.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Where the data comes from: exactly one of its fields.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A claim in the namespace of the MirrorJob.
    PersistentVolumeClaim(SourceClaim),
    /// A directory of a node. Needs mover.podSecurity Privileged and the administrator's permission.
    HostPath(HostPath),
}

/// Where the data goes: exactly one of its fields.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    /// A claim in the namespace of the MirrorJob.
    PersistentVolumeClaim(DestinationClaim),
    /// A directory of a node. Needs mover.podSecurity Privileged and the administrator's permission.
    HostPath(HostPath),
    /// The same directory on many nodes.
    Nodes(Nodes),
}

/// A claim to read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SourceClaim {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::subdomain())]
    pub claim_name: String,

    /// Directory of the volume to start from; its content is copied, not the directory itself.
    #[serde(default = "root_path")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = rules::absolute_path())]
    pub path: String,

    /// Mount the volume read-only.
    #[serde(default = "read_only")]
    pub read_only: bool,
}

/// A claim to write.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DestinationClaim {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::subdomain())]
    pub claim_name: String,

    /// Directory of the volume that receives the content of the source. It is made if it is missing.
    #[serde(default = "root_path")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = rules::absolute_path())]
    pub path: String,

    /// What to do while another pod uses the claim: `Wait` until it is free, or run on the same node
    /// (`Colocate`).
    #[serde(default)]
    pub in_use: InUse,

    /// Makes the claim if it does not exist. It outlives the MirrorJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<ClaimTemplate>,
}

/// What to do while another pod uses the destination.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InUse {
    /// Wait until the claim is free.
    #[default]
    Wait,
    /// Write beside the pod that uses the claim, on its node.
    Colocate,
}

/// The claim to make where the destination does not exist.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClaimTemplate {
    /// Labels of the claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,

    /// Storage class of the claim; the cluster's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,

    /// Access modes of the claim.
    #[serde(default = "access_modes")]
    #[schemars(length(min = 1, max = 4))]
    pub access_modes: Vec<AccessMode>,

    /// Size of the claim, for example 100Gi.
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::positive_quantity())]
    pub storage: Quantity,
}

/// How a volume may be mounted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Read and write on one node.
    ReadWriteOnce,
    /// Read on many nodes.
    ReadOnlyMany,
    /// Read and write on many nodes.
    ReadWriteMany,
    /// Read and write in one pod.
    ReadWriteOncePod,
}

/// A directory of one node.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HostPath {
    /// Name of the node.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::subdomain())]
    pub node_name: String,

    /// Directory on the node.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = rules::absolute_path())]
    pub path: String,
}

/// A directory on every node that a selector finds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// Labels of the nodes.
    pub selector: LabelSelector,

    /// Directory on each node.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = rules::absolute_path())]
    pub path: String,

    /// How many nodes receive at the same time; decided by the operator if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub parallelism: Option<i32>,
}

impl AccessMode {
    /// Returns the word of Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadOnlyMany => "ReadOnlyMany",
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

impl Source {
    /// Returns the directory to read, within the claim or on the node.
    pub fn path(&self) -> &str {
        match self {
            Self::PersistentVolumeClaim(claim) => &claim.path,
            Self::HostPath(host) => &host.path,
        }
    }
}

impl Destination {
    /// Returns the directory to write, within the claim or on the node.
    pub fn path(&self) -> &str {
        match self {
            Self::PersistentVolumeClaim(claim) => &claim.path,
            Self::HostPath(host) => &host.path,
            Self::Nodes(nodes) => &nodes.path,
        }
    }
}

/// The short form of the printed columns: `pvc/raw:/2024`, `node/n1:/data`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PersistentVolumeClaim(claim) => {
                write!(f, "pvc/{}:{}", claim.claim_name, claim.path)
            }
            Self::HostPath(host) => write!(f, "node/{}:{}", host.node_name, host.path),
        }
    }
}

/// The short form of the printed columns: `pvc/raw:/2024`, `node/n1:/data`, `nodes:/data`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PersistentVolumeClaim(claim) => {
                write!(f, "pvc/{}:{}", claim.claim_name, claim.path)
            }
            Self::HostPath(host) => write!(f, "node/{}:{}", host.node_name, host.path),
            Self::Nodes(nodes) => write!(f, "nodes:{}", nodes.path),
        }
    }
}

fn root_path() -> String {
    "/".to_owned()
}

fn read_only() -> bool {
    true
}

fn access_modes() -> Vec<AccessMode> {
    vec![AccessMode::ReadWriteOnce]
}
