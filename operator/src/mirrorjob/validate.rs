//! Step two: may this job be carried out here?
//!
//! Beside the rules of the resource ([`blit_crds::validation`]) there are those of the cluster: the pod
//! security level that the administrator allows, the directories of nodes that may be used, and labels
//! that are not the user's. A [`ValidatedJob`] exists only if all hold.

mod reserved;
#[cfg(test)]
mod tests;

use std::path::Path;

use blit_crds::mirrorjob::{
    Destination, DestinationClaim, MirrorJobSpec, PodSecurity, PodSettings, Side, Source,
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
    pub host_paths: Vec<String>,
}

/// A job that may be carried out.
#[derive(Clone, Debug)]
pub struct ValidatedJob {
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    spec: MirrorJobSpec,
    source: SourcePlace,
    destination: DestinationClaim,
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
        "hostPath `{path}` of node `{node}` is not allowed; ask the administrator of the cluster to allow a \
         directory that contains it"
    )]
    HostPathNotAllowed {
        /// The node.
        node: String,
        /// The directory.
        path: String,
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
    let destination = match &job.spec.destination {
        Destination::PersistentVolumeClaim(claim) => Some(claim.clone()),
        Destination::HostPath(_) => {
            findings.push(destination_on_node());
            None
        }
        // Refused by the rules of the resource.
        Destination::Nodes(_) => None,
    };
    findings.dedup();
    let Some(destination) = destination.filter(|_| findings.is_empty()) else {
        return Err(Refusal::Invalid(findings));
    };
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
        destination,
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
    pub fn destination(&self) -> &DestinationClaim {
        &self.destination
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

/// Without a mover that withholds device nodes and set-id bits, a user could plant them on a node.
fn destination_on_node() -> Finding {
    Finding::new(
        "spec.destination.hostPath",
        "cannot be written in a cluster by this version of blit, whose movers do not withhold special files",
        "use a claim as destination",
    )
}

/// Finds the longest allowed directory that contains a hostPath.
fn source_place(source: &Source, policy: &Policy) -> Result<SourcePlace, Refusal> {
    let host = match source {
        Source::PersistentVolumeClaim(claim) => return Ok(SourcePlace::Claim(claim.clone())),
        Source::HostPath(host) => host,
    };
    let allowed = policy
        .host_paths
        .iter()
        .filter(|prefix| Path::new(&host.path).starts_with(prefix));
    match allowed.max_by_key(|prefix| prefix.len()) {
        Some(prefix) => Ok(SourcePlace::HostPath {
            node: host.node_name.clone(),
            prefix: prefix.clone(),
        }),
        None => Err(Refusal::HostPathNotAllowed {
            node: host.node_name.clone(),
            path: host.path.clone(),
        }),
    }
}
