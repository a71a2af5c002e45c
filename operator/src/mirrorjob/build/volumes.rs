//! The volumes of a mover, and where they are mounted.
//!
//! The whole volume of a claim is mounted, or the allowed directory of a node: the mover resolves the rest of the path
//! itself, without following symlinks. A subPath would be resolved by the node, with its rights.

use blit_crds::mirrorjob::Side;
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};

use super::Facts;
use super::names::{AttemptNames, MoverKind};
use crate::mirrorjob::validate::{SourcePlace, ValidatedJob};

/// Where the volume of a mover with one volume is mounted, and the destination of one with two.
pub(super) const DATA_DIR: &str = "/data";
/// Where the source is mounted in a mover with two volumes.
pub(super) const SOURCE_DIR: &str = "/source";
/// Where the identity of a mover is mounted.
pub(super) const IDENTITY_DIR: &str = "/var/run/blit/identity";

/// Name of the volume at [`DATA_DIR`].
const DATA: &str = "data";
/// Name of the volume at [`SOURCE_DIR`].
const SOURCE: &str = "source";
/// Name of the volume at [`IDENTITY_DIR`].
const IDENTITY: &str = "identity";

/// Mode of the identity's files. The volume is the pod's own memory; a mover that is not root could not
/// read it otherwise, because only an fsGroup would give it the files, and a source must not have one.
const IDENTITY_MODE: i32 = 0o444;

/// Returns where the volume of a side is mounted in a mover.
pub(super) fn root(kind: MoverKind, side: Side) -> &'static str {
    match (kind, side) {
        (MoverKind::Local, Side::Source) => SOURCE_DIR,
        _ => DATA_DIR,
    }
}

/// Returns the volumes of a mover.
pub(super) fn volumes(
    job: &ValidatedJob,
    facts: &Facts,
    names: &AttemptNames,
    kind: MoverKind,
) -> Vec<Volume> {
    let mut volumes = match kind {
        MoverKind::Source => vec![of_side(job, facts, Side::Source, DATA)],
        MoverKind::Destination => vec![of_side(job, facts, Side::Destination, DATA)],
        MoverKind::Local => {
            let mut both = vec![of_side(job, facts, Side::Destination, DATA)];
            if !shares_claim(job) {
                both.push(of_side(job, facts, Side::Source, SOURCE));
            }
            both
        }
    };
    volumes.push(Volume {
        name: IDENTITY.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names.of(kind)),
            default_mode: Some(IDENTITY_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    });
    volumes
}

/// Returns the mounts of a mover.
pub(super) fn mounts(job: &ValidatedJob, facts: &Facts, kind: MoverKind) -> Vec<VolumeMount> {
    let mut mounts = match kind {
        MoverKind::Source => vec![mount(DATA, DATA_DIR, reads_only(job, facts))],
        MoverKind::Destination => vec![mount(DATA, DATA_DIR, false)],
        MoverKind::Local => {
            let source = if shares_claim(job) { DATA } else { SOURCE };
            vec![
                mount(DATA, DATA_DIR, false),
                mount(source, SOURCE_DIR, reads_only(job, facts)),
            ]
        }
    };
    mounts.push(mount(IDENTITY, IDENTITY_DIR, true));
    mounts
}

/// One claim is one volume of a pod, however often it is mounted.
fn shares_claim(job: &ValidatedJob) -> bool {
    let [source, destination] = [Side::Source, Side::Destination].map(|side| job.claim(side));
    source.is_some() && source == destination
}

fn of_side(job: &ValidatedJob, facts: &Facts, side: Side, name: &str) -> Volume {
    let claim = job
        .claim(side)
        .map(|name| PersistentVolumeClaimVolumeSource {
            claim_name: name.to_owned(),
            read_only: (side == Side::Source && facts.source.read_only).then_some(true),
        });
    let host_path = job.host_path(side).map(|(_, prefix)| HostPathVolumeSource {
        path: prefix.to_owned(),
        type_: Some("Directory".to_owned()),
    });
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: claim,
        host_path,
        ..Volume::default()
    }
}

fn reads_only(job: &ValidatedJob, facts: &Facts) -> bool {
    match job.source() {
        SourcePlace::Claim(claim) => claim.read_only || facts.source.read_only,
        SourcePlace::HostPath { .. } => true,
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}
