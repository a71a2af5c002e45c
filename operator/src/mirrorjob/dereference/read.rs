//! From the objects of Kubernetes to what a job needs of them. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    self as core, Container, PersistentVolume, PersistentVolumeClaim, Pod, SecurityContext,
};
use k8s_openapi::api::storage::v1::{StorageClass, VolumeAttachment};

use super::world::{Binding, Claim, ClaimPhase, ClaimPod, Node, PodState, Volume};
use crate::mirrorjob::build::labels;

/// Taints and tolerations of Kubernetes' own: what a node is, not whom it is for.
const KUBERNETES_TAINTS: &str = "node.kubernetes.io/";

/// Reads a claim, as yet without its volume.
pub(super) fn claim(claim: &PersistentVolumeClaim) -> Claim {
    let spec = claim.spec.clone().unwrap_or_default();
    let status = claim.status.clone().unwrap_or_default();
    Claim {
        phase: match status.phase.as_deref() {
            Some("Bound") => ClaimPhase::Bound,
            Some("Lost") => ClaimPhase::Lost,
            _ => ClaimPhase::Pending,
        },
        terminating: claim.metadata.deletion_timestamp.is_some(),
        access_modes: spec.access_modes.unwrap_or_default(),
        volume_modes: status.access_modes.unwrap_or_default(),
        block: spec.volume_mode.as_deref() == Some("Block"),
        storage_class: spec.storage_class_name.filter(|name| !name.is_empty()),
        binding: Binding::Unknown,
        volume_name: spec.volume_name.filter(|name| !name.is_empty()),
        volume: None,
    }
}

/// Says when a storage class makes volumes.
pub(super) fn binding(class: &StorageClass) -> Binding {
    match class.volume_binding_mode.as_deref() {
        Some("WaitForFirstConsumer") => Binding::WaitForFirstConsumer,
        _ => Binding::Immediate,
    }
}

/// Reads a volume, as yet without its attachments.
pub(super) fn volume(volume: &PersistentVolume) -> Volume {
    let spec = volume.spec.as_ref();
    let affinity = spec.and_then(|spec| spec.node_affinity.as_ref());
    let driver = spec.and_then(|spec| spec.csi.as_ref());
    Volume {
        node_affinity: affinity.and_then(|affinity| affinity.required.clone()),
        read_only: driver.and_then(|driver| driver.read_only) == Some(true),
        attached_to: BTreeSet::new(),
    }
}

/// Says whether a volume is one that nodes attach: a disk, not a file system of a node or of the network.
pub(super) fn is_attachable(volume: &PersistentVolume) -> bool {
    volume.spec.as_ref().is_some_and(|spec| {
        spec.local.is_none()
            && spec.host_path.is_none()
            && spec.nfs.is_none()
            && spec.cephfs.is_none()
            && spec.glusterfs.is_none()
    })
}

/// Returns the node to which a volume is attached, unless it is about to be detached.
pub(super) fn attached_to(attachment: &VolumeAttachment, volume: &str) -> Option<String> {
    let spec = &attachment.spec;
    let is_it = spec.source.persistent_volume_name.as_deref() == Some(volume);
    let stays = attachment.metadata.deletion_timestamp.is_none();
    (is_it && stays).then(|| spec.node_name.clone())
}

/// Reads a node.
pub(super) fn node(node: core::Node) -> Node {
    let spec = node.spec.unwrap_or_default();
    let conditions = node.status.and_then(|status| status.conditions);
    Node {
        name: node.metadata.name.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
        taints: spec.taints.unwrap_or_default(),
        unschedulable: spec.unschedulable == Some(true),
        ready: conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
    }
}

/// Reads a pod, if it uses one of these claims, has not ended and is not a mover of this job.
pub(super) fn pod(pod: &Pod, claims: &BTreeSet<&str>, job_uid: Option<&str>) -> Option<ClaimPod> {
    let spec = pod.spec.as_ref()?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let mover_of = labels::job_uid(pod);
    if has_ended(pod) || (mover_of.is_some() && mover_of == job_uid) {
        return None;
    }
    let (volumes, used) = uses(spec, &name, claims);
    if used.is_empty() {
        return None;
    }
    let security = security_of_user(spec, &volumes);
    let of_pod = spec.security_context.clone().unwrap_or_default();
    let user = security.as_ref().and_then(|of| of.run_as_user);
    let options = security.and_then(|of| of.se_linux_options);
    let tolerations = spec.tolerations.clone().unwrap_or_default();
    Some(ClaimPod {
        claims: used,
        mover_of: mover_of.map(str::to_owned),
        node: spec.node_name.clone().filter(|node| !node.is_empty()),
        state: state(pod),
        user: user.or(of_pod.run_as_user).filter(|user| *user > 0),
        tolerations: tolerations
            .into_iter()
            .filter(|toleration| {
                let key = toleration.key.as_deref().unwrap_or_default();
                !key.starts_with(KUBERNETES_TAINTS)
            })
            .collect(),
        se_linux_options: options.or(of_pod.se_linux_options),
        name,
    })
}

/// Says whether a pod will never run again. Such a pod holds no volume.
pub(in crate::mirrorjob) fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Says how far a pod is that has not ended.
pub(in crate::mirrorjob) fn state(pod: &Pod) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |name: &str| conditions.iter().find(|condition| condition.type_ == name);
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    if node.is_none_or(str::is_empty) {
        let refused = condition("PodScheduled").filter(|condition| condition.status == "False");
        return PodState::Unscheduled {
            message: refused.and_then(|condition| condition.message.clone()),
        };
    }
    let mut containers = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .flatten();
    let started = containers.any(|container| {
        let state = container.state.as_ref();
        container.restart_count > 0
            || state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    });
    if started || status.phase.as_deref() == Some("Running") {
        return PodState::Running;
    }
    PodState::Starting {
        sandbox_ready: condition("PodReadyToStartContainers")
            .is_some_and(|condition| condition.status == "True"),
    }
}

/// Returns the claims that a pod's volumes stand for, whichever they are.
pub(in crate::mirrorjob) fn claims_of(pod: &Pod) -> BTreeSet<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| claim_of(volume, name))
        .collect()
}

/// Returns the pod's names of the volumes that stand for one of the claims, and the claims.
fn uses(
    spec: &core::PodSpec,
    pod: &str,
    claims: &BTreeSet<&str>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let volumes = spec.volumes.iter().flatten();
    volumes
        .filter_map(|volume| {
            let claim = claim_of(volume, pod)?;
            claims
                .contains(claim.as_str())
                .then(|| (volume.name.clone(), claim))
        })
        .unzip()
}

/// A generic ephemeral volume is a claim too, named after pod and volume.
fn claim_of(volume: &core::Volume, pod: &str) -> Option<String> {
    let named = volume.persistent_volume_claim.as_ref();
    let ephemeral = volume.ephemeral.as_ref();
    named
        .map(|claim| claim.claim_name.clone())
        .or_else(|| ephemeral.map(|_| format!("{pod}-{}", volume.name)))
}

/// Returns the security context of the first container that mounts one of these volumes.
fn security_of_user(spec: &core::PodSpec, volumes: &BTreeSet<String>) -> Option<SecurityContext> {
    let mounts = |container: &&Container| {
        let mut mounts = container.volume_mounts.iter().flatten();
        mounts.any(|mount| volumes.contains(&mount.name))
    };
    let containers = spec.containers.iter();
    containers
        .chain(spec.init_containers.iter().flatten())
        .find(mounts)?
        .security_context
        .clone()
}
