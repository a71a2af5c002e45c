//! What stands around the pods of an attempt and is looked at when they do not get on: who else needs their volumes, why the
//! scheduler has no node for them, whether a node still answers.
//!
//! It reads and says; what follows from that is decided by [`super::attempt`] and [`super::reconcile`].

use blit_crds::MirrorJob;
use blit_crds::outcome::Reason;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::api::Api;

use super::context::Context;
use super::error::ReconcileError;
use super::start;
use crate::follow::State;
use crate::mirrorjob::attempt::{self as movers, MoverState, Movers, wait};
use crate::mirrorjob::claimants::{GiveWay, must_give_way};
use crate::mirrorjob::dereference::dereference;
use crate::mirrorjob::placement::{Pods, Wait, explain_unscheduled};
use crate::mirrorjob::step::Seen;

/// How long a pod may take to end beyond its grace before its node is looked at.
const SLOW_TO_LEAVE: jiff::SignedDuration = jiff::SignedDuration::from_secs(15);

/// Says whether somebody needs a volume that the pods of a job hold.
pub(super) async fn somebody_needs(
    context: &Context,
    job: &MirrorJob,
    pods: &[&Pod],
) -> Result<Option<GiveWay>, ReconcileError> {
    let world = dereference(&context.client, job, context.settings.cluster_scoped)
        .await
        .map_err(ReconcileError::read("who uses the volumes of the job"))?;
    let own: Vec<Pod> = pods.iter().map(|pod| (*pod).clone()).collect();
    Ok(must_give_way(&own, &world))
}

/// Why the scheduler has no node for a mover, in terms of the job.
pub(super) async fn unscheduled(
    context: &Context,
    seen: &Seen<'_>,
    movers: &Movers<'_>,
) -> Result<Option<Wait>, ReconcileError> {
    let waits = |pod: &&Pod| {
        matches!(
            movers::state(pod),
            MoverState::Waiting(Some(wait)) if wait.reason == Reason::Unschedulable
        )
    };
    let Some(pod) = movers.pods().find(waits) else {
        return Ok(None);
    };
    let world = dereference(&context.client, seen.job, context.settings.cluster_scoped)
        .await
        .map_err(ReconcileError::read("why a mover has no node"))?;
    Ok(explain_unscheduled(pod, &world))
}

/// Whether two pods could run where one cannot.
pub(super) async fn could_be_two(
    context: &Context,
    job: &MirrorJob,
) -> Result<bool, ReconcileError> {
    let mut apart = job.clone();
    if let Some(last) = apart
        .status
        .as_mut()
        .and_then(|status| status.attempts.last_mut())
    {
        last.reason = Some(Reason::Unschedulable.to_string());
    }
    Ok(match start::find(context, &apart).await? {
        Ok(found) => found.placement.pods == Pods::Two,
        Err(_) => false,
    })
}

/// Looks at the nodes of pods that do not leave or do not answer.
pub(super) async fn node_trouble(
    context: &Context,
    seen: &Seen<'_>,
    movers: &Movers<'_>,
) -> Result<Option<Wait>, ReconcileError> {
    let uid = seen.job.uid().unwrap_or_default();
    let silent = context
        .followers
        .latest(&uid)
        .is_some_and(|view| matches!(view.state, State::Unreachable { .. }));
    // A mover that outlives its peer leaves by itself, unless nothing is heard of its node.
    let peer_ended = movers
        .pods()
        .any(|pod| matches!(movers::state(pod), MoverState::Ended(_)));
    for pod in movers.pods() {
        let running = matches!(movers::state(pod), MoverState::Running(_));
        let doubtful = is_late(pod, seen.now) || (running && (silent || peer_ended));
        if doubtful && let Some(wait) = lost_node(context, pod).await? {
            return Ok(Some(wait));
        }
    }
    Ok(None)
}

/// Looks at the nodes of pods that were let go and are still there after their grace.
pub(super) async fn does_not_leave(
    context: &Context,
    pods: &[&Pod],
    now: jiff::Timestamp,
) -> Result<Option<Wait>, ReconcileError> {
    for pod in pods.iter().filter(|pod| is_late(pod, now)) {
        if let Some(wait) = lost_node(context, pod).await? {
            return Ok(Some(wait));
        }
    }
    Ok(None)
}

/// Whether the grace of a pod is over, and it is still there.
fn is_late(pod: &Pod, now: jiff::Timestamp) -> bool {
    let until = pod.metadata.deletion_timestamp.as_ref();
    until.is_some_and(|until| now.duration_since(until.0) > SLOW_TO_LEAVE)
}

/// Says what to do about the node of a pod, if nothing is heard of it.
async fn lost_node(context: &Context, pod: &Pod) -> Result<Option<Wait>, ReconcileError> {
    let (Some(node), true) = (movers::node(pod), context.settings.cluster_scoped) else {
        return Ok(None);
    };
    let found = Api::<Node>::all(context.client.clone())
        .get_opt(node)
        .await
        .map_err(ReconcileError::read("the node of a mover"))?;
    let lost = found.is_some_and(|node| !is_ready(&node));
    Ok(lost.then(|| {
        wait(
            Reason::NodeUnreachable,
            format!(
                "node {node} of pod {} does not answer; the job goes on when it is back. If it never will be, delete the node, or \
                 taint it: kubectl taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
                pod.name_any()
            ),
        )
    }))
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
