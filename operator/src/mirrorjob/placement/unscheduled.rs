//! Why the scheduler leaves a mover without a node, in words with a remedy.

use k8s_openapi::api::core::v1::Pod;

use blit_crds::outcome::Reason;

use super::claims::waits_for_one_pod;
use super::{Wait, wait};
use crate::mirrorjob::dereference::{PodState, World, claims_of, state};

/// Explains what a mover without a node waits for, from what the scheduler says and from who uses its claims.
/// Returns nothing for a pod that has a node, and for one that the scheduler has not looked at yet.
pub fn explain_unscheduled(pod: &Pod, world: &World) -> Option<Wait> {
    let PodState::Unscheduled {
        message: Some(said),
    } = state(pod)
    else {
        return None;
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let claims = claims_of(pod);
    let of_one_pod = claims.iter().find(|claim| {
        world
            .claims
            .get(*claim)
            .is_some_and(|found| found.is_of_one_pod())
    });
    let (reason, cause) = if waits_for_one_pod(&said) {
        let claim = of_one_pod.map_or_else(String::new, |claim| format!("`{claim}` "));
        let user = world.pods.iter().find(|user| {
            user.node.is_some() && of_one_pod.is_some_and(|claim| user.claims.contains(claim))
        });
        let user = user.map_or_else(
            || "another pod".to_owned(),
            |user| format!("pod `{}`", user.name),
        );
        (
            Reason::VolumeInUse,
            format!(
                "claim {claim}is for a single pod (ReadWriteOncePod) and {user} has it; the job goes on when that pod is gone"
            ),
        )
    } else if said.contains("unbound immediate PersistentVolumeClaims") {
        (
            Reason::ClaimNotBound,
            "a claim has no volume yet; see the events of its claims with `kubectl describe pvc`"
                .to_owned(),
        )
    } else if said.contains("bound to non-existent persistentvolume") {
        (
            Reason::ClaimNotBound,
            "a claim has lost its volume; restore the volume, or make the claim again".to_owned(),
        )
    } else if said.contains("persistentvolumeclaim") && said.contains("not found") {
        (
            Reason::ClaimNotFound,
            "a claim does not exist; make it".to_owned(),
        )
    } else if said.contains("persistentvolumeclaim") && said.contains("being deleted") {
        (
            Reason::ClaimNotFound,
            "a claim is being deleted; make it again when it is gone".to_owned(),
        )
    } else {
        (Reason::Unschedulable, remedy(&said).to_owned())
    };
    Some(wait(
        reason,
        format!("no node takes pod `{name}`: {cause}. The scheduler says: {said}"),
    ))
}

/// The remedy for the first cause that the scheduler names, in the order of what is easiest to mend.
fn remedy(said: &str) -> &'static str {
    const REMEDIES: [(&str, &str); 7] = [
        (
            "Insufficient ",
            "free resources on its nodes, or ask for less in spec.mover.resources",
        ),
        ("Too many pods", "free a place for a pod on its nodes"),
        (
            "untolerated taint",
            "remove the taint, or give the movers a toleration in spec.mover.tolerations",
        ),
        ("were unschedulable", "uncordon one of its nodes"),
        (
            "volume node affinity conflict",
            "its volumes cannot be reached from the nodes that are left",
        ),
        (
            "exceed max volume count",
            "its nodes have as many volumes attached as they can; free one",
        ),
        (
            "didn't match Pod's node affinity/selector",
            "its nodes must have the labels of spec.mover.nodeSelector and reach its volumes",
        ),
    ];
    REMEDIES
        .iter()
        .find(|(cause, _)| said.contains(cause))
        .map_or("see `kubectl describe pod`", |(_, remedy)| remedy)
}
