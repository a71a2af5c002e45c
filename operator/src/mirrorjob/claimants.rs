//! Who needs a claim that the movers of a job hold, so that they must give way.
//!
//! A mover gives way only where that helps for certain: the workload cannot start, the claim is why, and no
//! third pod holds it. Being interrupted costs the job little, and is not counted against it.
//!
//! Which claims stand in whose way follows Kubernetes:
//! - One of a single pod (ReadWriteOncePod) keeps the scheduler from giving the next pod a node.
//! - A volume of one node (ReadWriteOnce) matters to the scheduler only by its node affinity. A pod that got another
//!   node than the mover's cannot start while the volume is attached to the mover's.
//! - Movers of other jobs wait for each other in the operator, and need no way made for them.
//! - Pods that have ended hold nothing, but a claim that somebody deletes stays as long as they exist.

#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::Pod;

use super::dereference::{Claim, ClaimPod, PodState, World, claims_of, has_ended, state};
use super::placement::waits_for_one_pod;

/// A claim that the movers of a job must let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveWay {
    /// The pod that needs it; absent if somebody wants to delete the claim.
    pub pod: Option<String>,
    /// The claim.
    pub claim: String,
    /// What keeps the pod from starting, for the event: a clause that names pod, claim and node.
    pub why: String,
}

/// Says whether the movers of a job must give way. `own` are all pods of the job, and `world` does not have them;
/// ended ones count only when all have ended.
pub fn must_give_way(own: &[Pod], world: &World) -> Option<GiveWay> {
    let alive: Vec<&Pod> = own.iter().filter(|pod| !has_ended(pod)).collect();
    if alive.is_empty() {
        return own.iter().find_map(|pod| left_over(pod, world));
    }
    alive.into_iter().find_map(|pod| in_the_way(pod, world))
}

/// What is left of a failed job is kept for its logs only, so anybody may have the claim.
fn left_over(own: &Pod, world: &World) -> Option<GiveWay> {
    claims_of(own).into_iter().find_map(|name| {
        let claim = world.claims.get(&name)?;
        let waiting = world.pods.iter().find(|pod| {
            pod.claims.contains(&name) && pod.mover_of.is_none() && pod.state != PodState::Running
        });
        let why = match waiting {
            Some(pod) => format!("pod `{}` needs claim `{name}`", pod.name),
            None if claim.terminating => {
                format!("claim `{name}` is being deleted, and cannot be gone before its pods are")
            }
            None => return None,
        };
        Some(GiveWay {
            pod: waiting.map(|pod| pod.name.clone()),
            claim: name,
            why,
        })
    })
}

fn in_the_way(own: &Pod, world: &World) -> Option<GiveWay> {
    // Without a node it holds nothing.
    let node = own.spec.as_ref()?.node_name.as_deref()?;
    let own_state = state(own);
    claims_of(own).into_iter().find_map(|name| {
        let claim = world.claims.get(&name)?;
        let users: Vec<&ClaimPod> = world
            .pods
            .iter()
            .filter(|pod| pod.claims.contains(&name))
            .collect();
        let (pod, why) = if claim.is_of_one_pod() {
            single_pod(&name, &users)?
        } else if claim.is_of_one_node() {
            single_node(&name, claim, &users, node, &own_state)?
        } else {
            return None;
        };
        Some(GiveWay {
            pod: Some(pod),
            claim: name,
            why,
        })
    })
}

fn single_pod(name: &str, users: &[&ClaimPod]) -> Option<(String, String)> {
    if users.iter().any(|pod| pod.node.is_some()) {
        return None;
    }
    let pod = users.iter().find(|pod| {
        let PodState::Unscheduled { message } = &pod.state else {
            return false;
        };
        pod.mover_of.is_none() && message.as_deref().is_some_and(waits_for_one_pod)
    })?;
    let why = format!(
        "pod `{}` needs claim `{name}`, which is for a single pod (ReadWriteOncePod)",
        pod.name
    );
    Some((pod.name.clone(), why))
}

fn single_node(
    name: &str,
    claim: &Claim,
    users: &[&ClaimPod],
    node: &str,
    own: &PodState,
) -> Option<(String, String)> {
    // A pod beside the mover holds the volume there as well.
    if users.iter().any(|pod| pod.node.as_deref() == Some(node)) {
        return None;
    }
    let attached = claim.volume.as_ref().map(|volume| &volume.attached_to);
    let elsewhere = |pod: &&&ClaimPod| pod.node.is_some() && pod.mover_of.is_none();
    // Without a look at the attachments, a pod whose sandbox does not come up waits for its volumes.
    let held_here = attached.is_none_or(|nodes| nodes.contains(node));
    let waits = |pod: &&&ClaimPod| {
        matches!(
            pod.state,
            PodState::Starting {
                sandbox_ready: false
            }
        )
    };
    let found = if held_here {
        users.iter().filter(elsewhere).find(waits)
    } else {
        // The volume went to a workload's node between the decision and the start of the mover, which waits in vain.
        let there = |pod: &&&ClaimPod| {
            let node = pod.node.as_ref();
            node.is_some_and(|node| attached.is_some_and(|nodes| nodes.contains(node)))
        };
        let waits_in_vain = *own != PodState::Running;
        users
            .iter()
            .filter(elsewhere)
            .find(|pod| waits_in_vain && there(pod))
    };
    let pod = found?;
    let other = pod.node.as_deref().unwrap_or_default();
    let why = format!(
        "pod `{}` needs claim `{name}` on node `{other}`, while the mover has it on node `{node}`",
        pod.name
    );
    Some((pod.name.clone(), why))
}
