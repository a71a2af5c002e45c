//! Step four: the objects of one attempt. Step three, which finds the [`Facts`], needs the cluster.
//!
//! An attempt is a fresh pair of pods, each with a Secret that holds its identity and a NetworkPolicy
//! that lets it talk to the other one only. The destination listens; the source is made when the
//! destination is Ready, with its address. Pods are made directly, because the address of a peer cannot
//! stand in the immutable template of a Job.
//!
//! Names are functions of the job and the attempt, so that making an object twice is noticed.

mod names;
mod network_policy;
mod placement;
mod pod;
mod secret;
mod security;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use blit_crds::arguments::ArgumentError;
use blit_crds::mirrorjob::Side;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod, SELinuxOptions, Secret, Toleration,
    VolumeResourceRequirements,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thiserror::Error;

pub use names::{AttemptNames, stand_in_uid};

use super::validate::{DestinationPlace, ValidatedJob};
use crate::identity::Identities;

/// What an attempt is made from, beside the job.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// UID of the job.
    pub job_uid: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Image of the movers.
    pub image: String,
    /// What was found out about the place of the source.
    pub source: PlaceFacts,
    /// What was found out about the place of the destination.
    pub destination: PlaceFacts,
}

/// What was found out about the place of one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaceFacts {
    /// Nodes on which the volume can be mounted; any if absent.
    pub nodes: Option<Vec<String>>,
    /// Whether the claim can only be mounted read-only.
    pub read_only: bool,
    /// User of the pod that uses the claim.
    pub user: Option<i64>,
    /// Tolerations of the pod that uses the claim.
    pub tolerations: Vec<Toleration>,
    /// SELinux options of the pod that uses the claim.
    pub se_linux_options: Option<SELinuxOptions>,
}

impl Facts {
    /// Returns what was found out about the place of a side.
    pub fn of(&self, side: Side) -> &PlaceFacts {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }
}

/// The objects that are made before the destination has an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The destination's claim, where the job has a template for it. It is made only if it does not exist,
    /// and it outlives the job.
    pub claim: Option<PersistentVolumeClaim>,
    /// The identity of each side.
    pub secrets: [Secret; 2],
    /// Who may talk to each side.
    pub network_policies: [NetworkPolicy; 2],
    /// The mover that listens.
    pub destination: Pod,
}

/// The objects of an attempt cannot be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// There is no command line for a mover.
    #[error("cannot write the command line of the {side} mover: {error}")]
    Arguments {
        /// Which mover.
        side: Side,
        /// Why.
        error: ArgumentError,
    },
    /// An argument is not text.
    #[error("an argument of the {0} mover is not UTF-8, so it cannot stand in a pod")]
    NotText(Side),
}

/// Makes everything but the source's pod.
///
/// # Errors
/// Fails when the destination has no command line.
pub fn prepare(
    job: &ValidatedJob,
    facts: &Facts,
    identities: &Identities,
) -> Result<Prepared, BuildError> {
    let names = AttemptNames::new(job, facts);
    Ok(Prepared {
        claim: claim(job),
        secrets: Side::ALL.map(|side| secret::of(&names, side, identities.of(side))),
        network_policies: Side::ALL.map(|side| network_policy::of(&names, side)),
        destination: pod::destination(job, facts, &names)?,
    })
}

/// Makes the source's pod, which dials the destination at `address`.
///
/// # Errors
/// Fails when the source has no command line.
pub fn source_pod(job: &ValidatedJob, facts: &Facts, address: IpAddr) -> Result<Pod, BuildError> {
    pod::source(job, facts, &AttemptNames::new(job, facts), address)
}

fn claim(job: &ValidatedJob) -> Option<PersistentVolumeClaim> {
    let DestinationPlace::Claim(claim) = job.destination() else {
        return None;
    };
    let template = claim.template.clone()?;
    let modes = template
        .access_modes
        .iter()
        .map(|mode| mode.as_str().to_owned())
        .collect();
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim.claim_name.clone()),
            namespace: job.namespace().map(str::to_owned),
            labels: Some(template.labels).filter(|labels| !labels.is_empty()),
            annotations: Some(template.annotations).filter(|entries| !entries.is_empty()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(modes),
            storage_class_name: template.storage_class_name,
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), template.storage)].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}
