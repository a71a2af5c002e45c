//! What the administrator says: the configuration file of the operator.
//!
//! The file is YAML, normally written by the chart, and read once at the start; a wrong line is an error
//! that names it. The rules that follow from it alone are pure functions here: which pod security level
//! a namespace has, and which directories of the nodes it may use.
//!
//! Invariants: unknown fields are refused. What is not granted is denied: an annotation that cannot be
//! read means `Restricted`, and no directory of a node is allowed unless a rule names it.
//! Non-goals: what a MirrorJob asks for ([`blit_crds`]).

mod host_path;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use blit_crds::mirrorjob::{Encryption, PodSecurity};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use thiserror::Error;

pub use host_path::{Access, AllowedPrefix, HostPathRule, HostPathSettings, Prefix, PrefixError};

/// Annotation of a namespace with the highest level of its movers: `Restricted`, `Baseline` or
/// `Privileged`.
pub const POD_SECURITY_ANNOTATION: &str = "blit.dev/pod-security";

/// The configuration of the operator.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Image of the movers, best by digest.
    #[serde(deserialize_with = "not_empty")]
    pub image: String,
    /// Secrets of the job's namespace with which the image is pulled.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// Namespaces whose MirrorJobs are carried out; all if empty.
    #[serde(default)]
    pub watch_namespaces: Vec<String>,
    /// Whether nodes, volumes and other objects without a namespace can be read.
    #[serde(default = "yes")]
    pub cluster_scoped: bool,
    /// The movers.
    #[serde(default)]
    pub mover: MoverSettings,
    /// Directories of the nodes.
    #[serde(default)]
    pub host_path: HostPathSettings,
    /// Levels of pod security.
    #[serde(default)]
    pub pod_security: PodSecuritySettings,
    /// How data may travel.
    #[serde(default)]
    pub transport: TransportSettings,
    /// Ports of the movers and of the operator.
    #[serde(default)]
    pub ports: Ports,
    /// NetworkPolicies for the movers.
    #[serde(default)]
    pub network_policy: NetworkPolicySettings,
    /// How replicas agree on one leader.
    #[serde(default)]
    pub leader_election: LeaderElectionSettings,
}

/// The movers.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MoverSettings {
    /// Resources of movers whose MirrorJob names none.
    pub resources: Option<ResourceRequirements>,
    /// Priority class of movers whose MirrorJob names none; empty: none.
    pub priority_class_name: String,
    /// How many movers may be on one node; 0: no limit.
    pub max_per_node: u32,
    /// How many movers there may be in all; 0: no limit.
    pub max_total: u32,
}

/// Levels of pod security.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecuritySettings {
    /// Highest level that the annotation of a namespace can give.
    pub maximum: PodSecurity,
    /// Levels of namespaces; they overrule annotation and maximum.
    pub namespaces: BTreeMap<String, PodSecurity>,
}

/// How data may travel.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TransportSettings {
    /// The least that is encrypted, whatever a MirrorJob says.
    pub minimum_encryption: Encryption,
}

/// TCP ports.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Ports {
    /// Control plane of the movers.
    #[serde(deserialize_with = "port")]
    pub control: u16,
    /// Data plane of the movers.
    #[serde(deserialize_with = "port")]
    pub data: u16,
    /// Health and metrics of the operator.
    #[serde(deserialize_with = "port")]
    pub metrics: u16,
}

/// NetworkPolicies for the movers.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySettings {
    /// Whether they are made.
    pub enabled: bool,
    /// Who else may talk to the control port of the movers.
    pub extra_peers: Vec<NetworkPolicyPeer>,
}

/// How replicas agree on one leader.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaderElectionSettings {
    /// Whether a Lease is used; without one there must be a single replica.
    pub enabled: bool,
    /// Name of the Lease in the operator's namespace.
    pub lease_name: String,
}

/// The configuration cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration {path}: {source}; check --config and the mounted ConfigMap"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a configuration.
    #[error("the configuration {path} is invalid: {reason}; correct the values of the chart")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
}

impl Settings {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Fails when the file cannot be read or is not a valid configuration.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a configuration; `path` is named in errors.
    ///
    /// # Errors
    /// Fails when the text is not a valid configuration.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let invalid = |reason| SettingsError::Invalid {
            path: path.to_owned(),
            reason,
        };
        let settings: Self =
            serde_saphyr::from_str(text).map_err(|error| invalid(explain(&error)))?;
        if settings.ports.control == settings.ports.data {
            let port = settings.ports.control;
            return Err(invalid(format!(
                "ports.control and ports.data are both {port}; a mover needs two ports"
            )));
        }
        Ok(settings)
    }

    /// Returns the highest pod security level of movers in a namespace, from the namespace's name and its
    /// annotation [`POD_SECURITY_ANNOTATION`].
    pub fn pod_security(&self, namespace: &str, annotation: Option<&str>) -> PodSecurity {
        if let Some(level) = self.pod_security.namespaces.get(namespace) {
            return *level;
        }
        annotation
            .map_or(PodSecurity::Restricted, level)
            .min(self.pod_security.maximum)
    }

    /// Returns the directories that movers of a namespace may use on a node with these labels.
    pub fn host_paths(
        &self,
        namespace: &str,
        node_labels: &BTreeMap<String, String>,
    ) -> Vec<AllowedPrefix> {
        let allow = self.host_path.allow.iter();
        allow
            .filter(|rule| rule.applies(namespace, node_labels))
            .map(HostPathRule::prefix)
            .collect()
    }

    /// Returns what is encrypted for a job that asks for `wanted`.
    pub fn encryption(&self, wanted: Encryption) -> Encryption {
        match self.transport.minimum_encryption {
            Encryption::ControlPlane => wanted,
            Encryption::All => Encryption::All,
        }
    }
}

impl Default for MoverSettings {
    fn default() -> Self {
        Self {
            resources: None,
            priority_class_name: String::new(),
            max_per_node: 4,
            max_total: 0,
        }
    }
}

impl Default for PodSecuritySettings {
    fn default() -> Self {
        Self {
            maximum: PodSecurity::Privileged,
            namespaces: BTreeMap::new(),
        }
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            control: 9031,
            data: 9032,
            metrics: 8080,
        }
    }
}

impl Default for NetworkPolicySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            extra_peers: Vec::new(),
        }
    }
}

impl Default for LeaderElectionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            lease_name: "blit-operator".to_owned(),
        }
    }
}

fn yes() -> bool {
    true
}

/// Reads a level as it stands in an annotation, in any case. What is not a level grants nothing.
fn level(text: &str) -> PodSecurity {
    let levels = [
        ("privileged", PodSecurity::Privileged),
        ("baseline", PodSecurity::Baseline),
    ];
    levels
        .into_iter()
        .find(|(word, _)| text.trim().eq_ignore_ascii_case(word))
        .map_or(PodSecurity::Restricted, |(_, level)| level)
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        0 => Err(D::Error::custom("a port is a number from 1 to 65535")),
        port => Ok(port),
    }
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("must not be empty"));
    }
    Ok(text)
}

/// Says what is wrong on which line; the reader's own text is several lines with an excerpt.
fn explain(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let reason = text.lines().next().unwrap_or_default();
    match error.location() {
        Some(location) => format!("line {}: {reason}", location.line()),
        None => reason.to_owned(),
    }
}
