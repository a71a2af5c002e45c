//! What a claim says about the nodes of its side, and why it may have to be waited for.

use std::collections::BTreeSet;

use blit_crds::mirrorjob::{InUse, Side};
use blit_crds::outcome::Reason;

use super::constraint::Constraint;
use super::nodes::selected;
use super::{NotPlaced, wait};
use crate::mirrorjob::dereference::{Binding, Claim, ClaimPhase, ClaimPod, PodState, World};
use crate::mirrorjob::validate::{DestinationPlace, ValidatedJob};

/// What the scheduler says of a node where another pod uses a claim of one pod.
const ONE_POD: &str = "ReadWriteOncePod";

/// Returns the nodes that the claim of a side leaves.
///
/// # Errors
/// Fails when the claim cannot be used now, or never.
pub(super) fn constraints(
    job: &ValidatedJob,
    side: Side,
    name: &str,
    world: &World,
) -> Result<Vec<Constraint>, NotPlaced> {
    let Some(claim) = world.claims.get(name) else {
        return missing(job, side, name);
    };
    refused(side, name, claim)?;
    not_ready(side, name, claim)?;
    let users: Vec<&ClaimPod> = users(name, claim, world).collect();
    in_use(job, side, name, claim, &users)?;
    Ok(volume(name, claim, world)
        .into_iter()
        .chain(pods(job, side, name, claim, &users))
        .chain(attachments(name, claim))
        .collect())
}

/// Returns the pods that hold a claim, or will as soon as they can.
pub(super) fn users<'a>(
    name: &'a str,
    claim: &'a Claim,
    world: &'a World,
) -> impl Iterator<Item = &'a ClaimPod> {
    world.pods.iter().filter(move |pod| {
        pod.claims.contains(name)
            && match &pod.state {
                // It comes next when the claim is free; without a message the scheduler has not looked at it yet.
                PodState::Unscheduled { message } => {
                    claim.is_of_one_pod()
                        && message.as_ref().is_none_or(|text| text.contains(ONE_POD))
                }
                PodState::Starting { .. } | PodState::Running => true,
            }
    })
}

/// Says whether the scheduler refuses a pod because of a claim of one pod.
pub(in crate::mirrorjob) fn waits_for_one_pod(message: &str) -> bool {
    message.contains(ONE_POD)
}

fn missing(job: &ValidatedJob, side: Side, name: &str) -> Result<Vec<Constraint>, NotPlaced> {
    let template = match (side, job.destination()) {
        (Side::Destination, DestinationPlace::Claim(claim)) => claim.template.as_ref(),
        _ => None,
    };
    // It will be made, and its volume with the first pod or before.
    if template.is_some() {
        return Ok(Vec::new());
    }
    let or_template = match side {
        Side::Source => "",
        Side::Destination => ", or give it a template",
    };
    Err(wait(
        Reason::ClaimNotFound,
        format!(
            "claim `{name}` of the {side} does not exist in namespace `{}`; make it{or_template}",
            job.namespace().unwrap_or_default()
        ),
    )
    .into())
}

fn refused(side: Side, name: &str, claim: &Claim) -> Result<(), NotPlaced> {
    if claim.block {
        return Err(NotPlaced::Refuse {
            message: format!(
                "VolumeModeUnsupported: claim `{name}` of the {side} has volumeMode Block, a device without files; use a \
                 claim with volumeMode Filesystem"
            ),
        });
    }
    if side == Side::Destination && claim.is_read_only() {
        return Err(NotPlaced::Refuse {
            message: format!(
                "claim `{name}` of the destination can only be mounted read-only; use a claim that can be written"
            ),
        });
    }
    Ok(())
}

fn not_ready(side: Side, name: &str, claim: &Claim) -> Result<(), NotPlaced> {
    if claim.terminating {
        let message =
            format!("claim `{name}` of the {side} is being deleted; make it again when it is gone");
        return Err(wait(Reason::ClaimNotFound, message).into());
    }
    let class = claim.storage_class.as_deref().unwrap_or_default();
    let cause = match (claim.phase, claim.binding) {
        (ClaimPhase::Bound, _) => return Ok(()),
        (ClaimPhase::Lost, _) => {
            let volume = claim.volume_name.as_deref().unwrap_or_default();
            format!("has lost its volume `{volume}`; restore the volume, or make the claim again")
        }
        (ClaimPhase::Pending, Binding::Immediate) => format!(
            "has no volume yet, which storage class `{class}` should have made by now; see `kubectl describe pvc {name}`"
        ),
        (ClaimPhase::Pending, Binding::NoClass) => {
            "has neither a volume nor a storage class that makes one; make a volume that fits it, or make it again with a \
             storage class"
                .to_owned()
        }
        (ClaimPhase::Pending, Binding::ClassNotFound) => format!(
            "has no volume, and its storage class `{class}` does not exist; make the storage class, or make the claim \
             again with another"
        ),
        (ClaimPhase::Pending, Binding::WaitForFirstConsumer) if side == Side::Source => {
            "has never been used, so there is nothing to read; it gets its volume with the first pod that uses it"
                .to_owned()
        }
        (ClaimPhase::Pending, Binding::WaitForFirstConsumer | Binding::Unknown) => return Ok(()),
    };
    let message = format!("claim `{name}` of the {side} {cause}");
    Err(wait(Reason::ClaimNotBound, message).into())
}

/// A destination is nobody else's while it is written, unless the user says so; a claim of one pod never has
/// two.
fn in_use(
    job: &ValidatedJob,
    side: Side,
    name: &str,
    claim: &Claim,
    users: &[&ClaimPod],
) -> Result<(), NotPlaced> {
    let colocate = match (side, job.destination()) {
        (Side::Destination, DestinationPlace::Claim(claim)) => claim.in_use == InUse::Colocate,
        _ => false,
    };
    let one_pod = claim.is_of_one_pod();
    let in_the_way = users.iter().find(|pod| {
        // The movers of other jobs stand in no queue but that of the operator.
        one_pod || (side == Side::Destination && !colocate && pod.mover_of.is_none())
    });
    let Some(pod) = in_the_way else {
        return Ok(());
    };
    let node = match &pod.node {
        Some(node) => format!(" on node `{node}`"),
        None => String::new(),
    };
    let pod = format!("pod `{}`{node}", pod.name);
    let message = if one_pod {
        format!(
            "claim `{name}` of the {side} is for a single pod (ReadWriteOncePod) and {pod} has it; the job goes on when \
             that pod is gone"
        )
    } else {
        format!(
            "claim `{name}` of the {side} is in use by {pod}; stop the pod, or make the job with inUse: Colocate to write \
             beside it"
        )
    };
    Err(wait(Reason::VolumeInUse, message).into())
}

/// The nodes that can reach the volume.
fn volume(name: &str, claim: &Claim, world: &World) -> Option<Constraint> {
    let affinity = claim.volume.as_ref()?.node_affinity.as_ref()?;
    let nodes = world.nodes.as_ref()?.iter();
    let volume = claim.volume_name.as_deref().unwrap_or_default();
    Some(Constraint {
        nodes: nodes
            .filter(|node| selected(node, affinity))
            .map(|node| node.name.clone())
            .collect(),
        cause: format!("volume `{volume}` of claim `{name}` can be reached from"),
        remedy: format!("move claim `{name}` to another volume"),
    })
}

/// The nodes of the pods that use a volume of one node, and of those that a destination is written beside.
fn pods(
    job: &ValidatedJob,
    side: Side,
    name: &str,
    claim: &Claim,
    users: &[&ClaimPod],
) -> Option<Constraint> {
    let beside = side == Side::Destination || job.claim(Side::Destination) == Some(name);
    let counted = users
        .iter()
        .filter(|pod| claim.is_of_one_node() || (beside && pod.mover_of.is_none()));
    let (running, starting): (Vec<&ClaimPod>, Vec<&ClaimPod>) =
        counted.partition(|pod| pod.state == PodState::Running);
    let holders = if running.is_empty() {
        starting
    } else {
        running
    };
    let first = holders.first()?;
    Some(Constraint {
        nodes: holders.iter().filter_map(|pod| pod.node.clone()).collect(),
        cause: format!("claim `{name}` is used by pod `{}` on", first.name),
        remedy: format!("stop pod `{}`", first.name),
    })
}

/// The node to which a volume of one node is attached.
fn attachments(name: &str, claim: &Claim) -> Option<Constraint> {
    let nodes: BTreeSet<String> = claim.volume.as_ref()?.attached_to.clone();
    let volume = claim.volume_name.as_deref().unwrap_or_default();
    (!nodes.is_empty()).then(|| Constraint {
        nodes,
        cause: format!("volume `{volume}` of claim `{name}` is attached to"),
        remedy: "wait until it is detached".to_owned(),
    })
}
