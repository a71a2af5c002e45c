//! The pods that do the work, as far as a user may shape them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, SELinuxOptions, Toleration,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The mover pods. Fields under `source` and `destination` replace the field of the same name for
/// that side.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Mover {
    /// What the pods may do: `Restricted` (no root, no capabilities), `Baseline` (root within the
    /// pod, keeps owners and devices) or `Privileged` (also hostPath). The
    /// namespace's administrator sets the highest level that is allowed.
    #[serde(default)]
    pub pod_security: PodSecurity,

    /// Settings of both pods.
    #[serde(flatten)]
    pub pod: PodSettings,

    /// What differs for the source mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MoverSide>,

    /// What differs for the destination mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<MoverSide>,
}

/// What differs for one side.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MoverSide {
    /// What the pod of this side may do.
    // Not part of `PodSettings`: only the setting for both sides has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,

    /// Settings of the pod of this side.
    #[serde(flatten)]
    pub pod: PodSettings,
}

/// Settings of a mover pod that can be given for both sides or for one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Resources of the mover container. If absent: requests of 100m CPU and 128Mi memory, a memory
    /// limit of 512Mi and no CPU limit, unless the operator is configured otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Labels that a node must have, beside what the volumes require.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: Option<BTreeMap<String, String>>,

    /// Affinity, beside what the volumes require.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// Tolerations of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tolerations: Option<Vec<Toleration>>,

    /// Priority class of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,

    /// Service account of the pod. Its token is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,

    /// Secrets with which the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,

    /// Further labels of the pod. Prefixes of Blit, of Kubernetes' recommended labels and of network
    /// plugins are reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    pub pod_labels: Option<BTreeMap<String, String>>,

    /// Further annotations of the pod, with the same reserved prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    pub pod_annotations: Option<BTreeMap<String, String>>,

    /// Users, groups and SELinux options of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<MoverSecurityContext>,
}

/// Users, groups and SELinux options of a mover pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MoverSecurityContext {
    /// User of the mover under podSecurity Restricted. If absent, the user of the pod that uses the
    /// claim, else 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub run_as_user: Option<i64>,

    /// Group of the mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub run_as_group: Option<i64>,

    /// Further groups of the mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub supplemental_groups: Option<Vec<i64>>,

    /// Group that Kubernetes gives the volume. Used only for a pod that mounts the destination alone:
    /// on a source it would rewrite the owners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub fs_group: Option<i64>,

    /// SELinux options of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SELinuxOptions>,
}

/// What a mover pod may do, after the Pod Security Standards.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord,
)]
pub enum PodSecurity {
    /// No root and no capabilities.
    #[default]
    Restricted,
    /// Root within the pod, with the capabilities that keep owners, modes and devices.
    Baseline,
    /// As baseline, and hostPath volumes.
    Privileged,
}

/// One of the two movers of a job.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The mover that reads.
    Source,
    /// The mover that writes, and decides.
    Destination,
}

impl Side {
    /// Both sides, the destination first because it must listen before the source can dial.
    pub const ALL: [Self; 2] = [Self::Destination, Self::Source];

    /// Returns the word for the side in command lines, names and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Mover {
    /// Returns the pod security level of a side.
    pub fn pod_security(&self, side: Side) -> PodSecurity {
        self.side(side)
            .and_then(|own| own.pod_security)
            .unwrap_or(self.pod_security)
    }

    /// Returns the settings of the pod of a side: what it says itself, else what both sides say.
    pub fn pod(&self, side: Side) -> PodSettings {
        let own = self
            .side(side)
            .map(|own| own.pod.clone())
            .unwrap_or_default();
        let both = self.pod.clone();
        PodSettings {
            resources: own.resources.or(both.resources),
            node_selector: own.node_selector.or(both.node_selector),
            affinity: own.affinity.or(both.affinity),
            tolerations: own.tolerations.or(both.tolerations),
            priority_class_name: own.priority_class_name.or(both.priority_class_name),
            service_account_name: own.service_account_name.or(both.service_account_name),
            image_pull_secrets: own.image_pull_secrets.or(both.image_pull_secrets),
            pod_labels: own.pod_labels.or(both.pod_labels),
            pod_annotations: own.pod_annotations.or(both.pod_annotations),
            security_context: own.security_context.or(both.security_context),
        }
    }

    fn side(&self, side: Side) -> Option<&MoverSide> {
        match side {
            Side::Source => self.source.as_ref(),
            Side::Destination => self.destination.as_ref(),
        }
    }
}
