//! Step four: the objects of one attempt. Step three, which finds the [`Facts`], needs the cluster.
//!
//! An attempt is a fresh pair of pods, or one pod that mounts both volumes. Each pod has a Secret that holds its identity
//! and a NetworkPolicy that lets it talk to the other one and to the operator only. The destination listens; the source
//! is made when the destination is Ready, with its address. Pods are made directly, because the address of a peer cannot
//! stand in the immutable template of a Job.
//!
//! Names are functions of the job and the attempt, so that making an object twice is noticed.

mod container;
pub mod labels;
mod names;
mod network_policy;
mod placement;
mod pod;
mod secret;
mod security;
#[cfg(test)]
mod tests;
mod volumes;

use std::net::IpAddr;

use blit_crds::arguments::{ArgumentError, CONTROL_PORT, DATA_PORT};
use blit_crds::mirrorjob::Side;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod, ResourceRequirements, SELinuxOptions,
    Secret, Toleration, VolumeResourceRequirements,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thiserror::Error;

pub use names::{AttemptNames, MoverKind, stand_in_uid};

use super::placement::Pods;
use super::validate::{DestinationPlace, ValidatedJob};
use crate::identity::Identities;

/// What an attempt is made from, beside the job.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// UID of the job.
    pub job_uid: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// What the administrator says about movers.
    pub settings: MoverFacts,
    /// In how many pods the movers run.
    pub pods: Pods,
    /// What was found out about the place of the source.
    pub source: PlaceFacts,
    /// What was found out about the place of the destination.
    pub destination: PlaceFacts,
}

/// What the administrator says about movers.
#[derive(Clone, Debug, PartialEq)]
pub struct MoverFacts {
    /// Image of the movers.
    pub image: String,
    /// Secrets with which the image is pulled, unless the job names some.
    pub image_pull_secrets: Vec<String>,
    /// Resources, unless the job names some.
    pub resources: Option<ResourceRequirements>,
    /// Priority class, unless the job names one.
    pub priority_class_name: Option<String>,
    /// Port of the control plane.
    pub control_port: u16,
    /// Port of the data plane.
    pub data_port: u16,
    /// Who may follow a mover; no policies are made if absent.
    pub followers: Option<Vec<NetworkPolicyPeer>>,
    /// Whether pods stay until their results have been read.
    pub keep_results: bool,
}

impl MoverFacts {
    /// Returns what holds where nobody says otherwise, for movers of this image that nobody follows.
    pub fn of_image(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            image_pull_secrets: Vec::new(),
            resources: None,
            priority_class_name: None,
            control_port: CONTROL_PORT,
            data_port: DATA_PORT,
            followers: Some(Vec::new()),
            keep_results: false,
        }
    }
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

    /// Returns the movers of the attempt; the first one listens.
    pub fn kinds(&self) -> &'static [MoverKind] {
        match self.pods {
            Pods::One => &[MoverKind::Local],
            Pods::Two => &[MoverKind::Destination, MoverKind::Source],
        }
    }
}

/// The objects that are made before the mover that listens has an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The destination's claim, where the job has a template for it. It is made only if it does not exist,
    /// and it outlives the job.
    pub claim: Option<PersistentVolumeClaim>,
    /// The identity of each mover.
    pub secrets: Vec<Secret>,
    /// Who may talk to each mover.
    pub network_policies: Vec<NetworkPolicy>,
    /// The mover that listens.
    pub listener: Pod,
}

/// The objects of an attempt cannot be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// There is no command line for a mover.
    #[error("cannot write the command line of the {kind} mover: {error}")]
    Arguments {
        /// Which mover.
        kind: MoverKind,
        /// Why.
        error: ArgumentError,
    },
    /// An argument is not text.
    #[error("an argument of the {0} mover is not UTF-8, so it cannot stand in a pod")]
    NotText(MoverKind),
}

/// Makes everything but the source's pod.
///
/// # Errors
/// Fails when the mover that listens has no command line.
pub fn prepare(
    job: &ValidatedJob,
    facts: &Facts,
    identities: &Identities,
) -> Result<Prepared, BuildError> {
    let names = AttemptNames::new(job, &facts.job_uid, facts.attempt);
    let kinds = facts.kinds();
    let secrets = kinds
        .iter()
        .map(|kind| secret::of(&names, *kind, identities.of(security::side_of(*kind))));
    let policies = facts.settings.followers.as_ref().map(|followers| {
        let policies = kinds
            .iter()
            .map(|kind| network_policy::of(&names, *kind, &facts.settings, followers));
        policies.collect()
    });
    Ok(Prepared {
        claim: claim(job),
        secrets: secrets.collect(),
        network_policies: policies.unwrap_or_default(),
        listener: listener(job, facts, identities.of(Side::Destination).ca_pem())?,
    })
}

/// Makes the pod that listens. `authority` is the certificate of the attempt's authority.
///
/// # Errors
/// Fails when it has no command line.
pub fn listener(job: &ValidatedJob, facts: &Facts, authority: &str) -> Result<Pod, BuildError> {
    let names = AttemptNames::new(job, &facts.job_uid, facts.attempt);
    let kind = match facts.pods {
        Pods::One => MoverKind::Local,
        Pods::Two => MoverKind::Destination,
    };
    let container = container::listening(job, facts, kind)?;
    let authority = Some(authority);
    Ok(pod::of(job, facts, &names, kind, container, authority))
}

/// Makes the source's pod, which dials the destination at `address`.
///
/// # Errors
/// Fails when the source has no command line.
pub fn source_pod(job: &ValidatedJob, facts: &Facts, address: IpAddr) -> Result<Pod, BuildError> {
    let names = AttemptNames::new(job, &facts.job_uid, facts.attempt);
    let container = container::dialling(job, facts, address)?;
    let kind = MoverKind::Source;
    Ok(pod::of(job, facts, &names, kind, container, None))
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
