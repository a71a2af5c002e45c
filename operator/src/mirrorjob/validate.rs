//! Step two: may this job be carried out here?
//!
//! Beside the rules of the resource ([`blit_crds::validation`]) there are those of the cluster: the pod
//! security level that the administrator allows, the directories of nodes that may be used, and labels
//! that are not the user's. A [`ValidatedJob`] exists only if all hold.

mod policy;
mod reserved;
#[cfg(test)]
mod tests;

use std::path::Path;

use blit_crds::mirrorjob::{
    Destination, DestinationClaim, HostPath, MirrorJobSpec, PodSecurity, PodSettings, Side, Source,
    SourceClaim,
};
use blit_crds::outcome::Reason;
use blit_crds::{Finding, MirrorJob, validation};
use thiserror::Error;

/// What the administrator allows in the namespace of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The highest pod security level.
    pub maximum: PodSecurity,
    /// Directories of nodes below which a hostPath may be.
    pub host_paths: Vec<HostPathGrant>,
}

/// A directory of nodes that movers may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPathGrant {
    /// The node; every node if absent.
    pub node: Option<String>,
    /// The directory.
    pub prefix: String,
    /// Whether it may be written too.
    pub writable: bool,
    /// Whether devices, set-id bits and file capabilities may be written.
    pub special_files: bool,
}

/// A job that may be carried out.
#[derive(Clone, Debug)]
pub struct ValidatedJob {
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    spec: MirrorJobSpec,
    source: SourcePlace,
    destination: DestinationPlace,
}

/// Where a mover reads.
#[derive(Clone, Debug, PartialEq)]
pub enum SourcePlace {
    /// A claim.
    Claim(SourceClaim),
    /// A directory of a node.
    HostPath {
        /// The node.
        node: String,
        /// The allowed directory that contains the hostPath, which is what is mounted.
        prefix: String,
    },
}

/// Where a mover writes.
#[derive(Clone, Debug, PartialEq)]
pub enum DestinationPlace {
    /// A claim.
    Claim(DestinationClaim),
    /// A directory of a node.
    HostPath {
        /// The node.
        node: String,
        /// The allowed directory that contains the hostPath, which is what is mounted.
        prefix: String,
        /// Whether devices, set-id bits and file capabilities may be written.
        special_files: bool,
    },
}

/// Why a job may not be carried out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The object breaks a rule.
    #[error("the MirrorJob is invalid:{}", .0.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Invalid(Vec<Finding>),
    /// A mover would be allowed too much.
    #[error(
        "the {side} mover asks for podSecurity {wanted:?}, but this namespace allows at most {maximum:?}; \
         ask its administrator for the annotation blit.dev/pod-security"
    )]
    PermissionNotGranted {
        /// Which mover.
        side: Side,
        /// What it asks for.
        wanted: PodSecurity,
        /// What is allowed.
        maximum: PodSecurity,
    },
    /// A directory of a node may not be used.
    #[error(
        "hostPath `{path}` of node `{node}` is not allowed{use}; ask the administrator of the cluster to allow \
         a directory that contains it", use = if *.write { " as a destination" } else { "" }
    )]
    HostPathNotAllowed {
        /// The node.
        node: String,
        /// The directory.
        path: String,
        /// Whether it would be written.
        write: bool,
    },
}

impl Refusal {
    /// Returns the word that the MirrorJob shows.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::Invalid,
            Self::PermissionNotGranted { .. } => Reason::PermissionNotGranted,
            Self::HostPathNotAllowed { .. } => Reason::HostPathNotAllowed,
        }
    }
}

/// Judges a job.
///
/// # Errors
/// Fails with everything that is wrong with the object, or else with the first permission that is missing.
pub fn validate(job: &MirrorJob, policy: &Policy) -> Result<ValidatedJob, Refusal> {
    let mut findings = validation::validate(job);
    for side in Side::ALL {
        findings.extend(reserved::used(&job.spec.mover.pod(side)));
        findings.extend(user_findings(job, side));
    }
    findings.dedup();
    if !findings.is_empty() {
        return Err(Refusal::Invalid(findings));
    }
    for side in Side::ALL {
        let wanted = job.spec.mover.pod_security(side);
        if wanted > policy.maximum {
            return Err(Refusal::PermissionNotGranted {
                side,
                wanted,
                maximum: policy.maximum,
            });
        }
    }
    Ok(ValidatedJob {
        name: job.metadata.name.clone().unwrap_or_default(),
        namespace: job.metadata.namespace.clone(),
        uid: job.metadata.uid.clone(),
        source: source_place(&job.spec.source, policy)?,
        destination: destination_place(&job.spec.destination, policy)?,
        spec: job.spec.clone(),
    })
}

impl ValidatedJob {
    /// Name of the job.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace of the job, if it says one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// UID that the API server gave the job; absent for a manifest that was never applied.
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// What is asked for.
    pub fn spec(&self) -> &MirrorJobSpec {
        &self.spec
    }

    /// Where the source mover reads.
    pub fn source(&self) -> &SourcePlace {
        &self.source
    }

    /// Where the destination mover writes.
    pub fn destination(&self) -> &DestinationPlace {
        &self.destination
    }

    /// The claim of a side, if its place is one.
    pub fn claim(&self, side: Side) -> Option<&str> {
        match (side, &self.source, &self.destination) {
            (Side::Source, SourcePlace::Claim(claim), _) => Some(&claim.claim_name),
            (Side::Destination, _, DestinationPlace::Claim(claim)) => Some(&claim.claim_name),
            _ => None,
        }
    }

    /// The node and the allowed directory of a side, if its place is a hostPath.
    pub fn host_path(&self, side: Side) -> Option<(&str, &str)> {
        match (side, &self.source, &self.destination) {
            (Side::Source, SourcePlace::HostPath { node, prefix }, _)
            | (Side::Destination, _, DestinationPlace::HostPath { node, prefix, .. }) => {
                Some((node, prefix))
            }
            _ => None,
        }
    }

    /// Pod security level of a side.
    pub fn pod_security(&self, side: Side) -> PodSecurity {
        self.spec.mover.pod_security(side)
    }

    /// Settings of the pod of a side.
    pub fn pod(&self, side: Side) -> PodSettings {
        self.spec.mover.pod(side)
    }
}

/// A user that contradicts the level would be ignored or refused by admission later.
fn user_findings(job: &MirrorJob, side: Side) -> Option<Finding> {
    let user = job.spec.mover.pod(side).security_context?.run_as_user?;
    let (message, remedy) = match (job.spec.mover.pod_security(side), user) {
        (PodSecurity::Restricted, 0) => (
            "user 0 is not allowed under podSecurity Restricted",
            "name another user, or use podSecurity Baseline",
        ),
        (PodSecurity::Baseline | PodSecurity::Privileged, 1..) => (
            "has no meaning above podSecurity Restricted, where movers run as user 0",
            "remove it, or give it only for the side that is Restricted",
        ),
        _ => return None,
    };
    Some(Finding::new(
        "spec.mover.securityContext.runAsUser",
        message,
        remedy,
    ))
}

fn source_place(source: &Source, policy: &Policy) -> Result<SourcePlace, Refusal> {
    match source {
        Source::PersistentVolumeClaim(claim) => Ok(SourcePlace::Claim(claim.clone())),
        Source::HostPath(host) => granted(host, policy, false).map(|grant| SourcePlace::HostPath {
            node: host.node_name.clone(),
            prefix: grant.prefix.clone(),
        }),
    }
}

fn destination_place(
    destination: &Destination,
    policy: &Policy,
) -> Result<DestinationPlace, Refusal> {
    match destination {
        Destination::PersistentVolumeClaim(claim) => Ok(DestinationPlace::Claim(claim.clone())),
        Destination::HostPath(host) => {
            granted(host, policy, true).map(|grant| DestinationPlace::HostPath {
                node: host.node_name.clone(),
                prefix: grant.prefix.clone(),
                special_files: grant.special_files,
            })
        }
        // The rules of the resource refuse it with the same words.
        Destination::Nodes(_) => Err(Refusal::Invalid(vec![Finding::new(
            "spec.destination.nodes",
            "is not supported by this version of blit",
            "make one MirrorJob for each node",
        )])),
    }
}

/// Finds the longest allowed directory that contains a hostPath.
fn granted<'a>(
    host: &HostPath,
    policy: &'a Policy,
    write: bool,
) -> Result<&'a HostPathGrant, Refusal> {
    let fits = |grant: &&HostPathGrant| {
        let node = grant.node.as_ref();
        node.is_none_or(|node| *node == host.node_name)
            && (grant.writable || !write)
            && Path::new(&host.path).starts_with(&grant.prefix)
    };
    let grants = policy.host_paths.iter().filter(fits);
    grants
        .max_by_key(|grant| (grant.prefix.len(), grant.special_files))
        .ok_or_else(|| Refusal::HostPathNotAllowed {
            node: host.node_name.clone(),
            path: host.path.clone(),
            write,
        })
}
