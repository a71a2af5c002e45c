//! What the objects around a job say: the operator, claims, pods. Pure.

use blit_crds::outcome::Reason;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ContainerState, Pod};

use super::{is_over, sentence};
use crate::kubectl::explain::facts::{Case, is_ready, pod_name};
use crate::kubectl::explain::finding::Finding;
use crate::kubectl::text::{Style, duration};
use crate::mirrorjob::build::labels;

/// Claims listed where one is missing.
const LISTED: usize = 20;

/// Adds to a finding about what a job waits for what can be seen of it.
pub(super) fn around(finding: Finding, reason: Reason, case: &Case<'_>) -> Finding {
    match reason {
        Reason::ClaimNotFound => match &case.facts.claims {
            Some(claims) if claims.is_empty() => finding.because("The namespace has no claims."),
            Some(claims) => {
                let names: Vec<&str> = claims.keys().map(String::as_str).collect();
                let more = if names.len() > LISTED { ", …" } else { "" };
                let names = names[..names.len().min(LISTED)].join(", ");
                finding.because(format!("The claims of the namespace: {names}{more}."))
            }
            None => finding,
        },
        Reason::VolumeInUse | Reason::Unschedulable => {
            let claims = case.claims().into_iter();
            claims.fold(finding, |finding, claim| {
                case.users(claim).into_iter().fold(finding, |finding, pod| {
                    finding
                        .because(format!("Claim {claim} is used by pod {}.", described(pod)))
                        .command(format!(
                            "kubectl get pod {} -n {} -o wide",
                            pod_name(pod),
                            case.namespace()
                        ))
                })
            })
        }
        _ => finding,
    }
}

/// No operator does anything about the job.
pub(super) fn operator(case: &Case<'_>, notice: SignedDuration) -> Option<Finding> {
    if is_over(case) && case.job.metadata.deletion_timestamp.is_none() {
        return None;
    }
    let unseen = case.status.observed_generation < case.job.metadata.generation;
    let late = unseen && case.age() > notice;
    match case.facts.operators.as_deref() {
        Some([]) if late => Some(
            Finding::new(Style::Bad, "There is no operator")
                .because(
                    "No pod of the cluster is an operator of MirrorJobs, so that nothing happens.",
                )
                .remedy("an administrator installs it.")
                .command(
                    "helm install blit charts/blit --namespace blit-system --create-namespace",
                ),
        ),
        Some(pods @ [first, ..]) if !pods.iter().any(is_ready) => {
            let place = first.metadata.namespace.as_deref().unwrap_or_default();
            Some(
                Finding::new(Style::Bad, "The operator is not ready")
                    .because("Movers that run go on without it, but nothing is started, retried or cleaned up.")
                    .remedy("see why.")
                    .command(format!(
                        "kubectl get pods -n {place} -l app.kubernetes.io/component=operator"
                    ))
                    .command(format!("kubectl logs deployment/blit-operator -n {place}")),
            )
        }
        Some([first, ..]) if late => {
            let place = first.metadata.namespace.as_deref().unwrap_or_default();
            Some(
                Finding::new(Style::Bad, "The operator has not looked at it")
                    .because(format!(
                        "It runs in namespace {place}, but may not be responsible for namespace {} (value \
                         watchNamespaces), or it has trouble.",
                        case.namespace()
                    ))
                    .remedy("see its log and its values.")
                    .command(format!("kubectl logs deployment/blit-operator -n {place}"))
                    .command(format!("helm get values blit -n {place}")),
            )
        }
        None if late => Some(
            Finding::new(Style::Bad, "No operator has looked at it")
                .because(format!("It was made {} ago.", duration(case.age())))
                .remedy(
                    "ask the administrator whether the operator runs and watches this namespace.",
                ),
        ),
        _ => None,
    }
}

/// What is wrong with the claims.
pub(super) fn claims(case: &Case<'_>) -> Vec<Finding> {
    let (Some(claims), false) = (&case.facts.claims, is_over(case)) else {
        return Vec::new();
    };
    let told = case.status.waiting_for.as_deref().unwrap_or_default();
    let names = case.claims().into_iter();
    names
        .filter_map(|name| {
            let claim = claims.get(name)?;
            let describe = format!(
                "kubectl describe persistentvolumeclaim {name} -n {}",
                case.namespace()
            );
            if claim.metadata.deletion_timestamp.is_some() {
                return Some(
                    Finding::new(Style::Bad, format!("Claim {name} is being deleted"))
                        .because(
                            "It goes when no pod uses it any more, and its data may go with it.",
                        )
                        .command(describe),
                );
            }
            let phase = claim
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            let warnings = case.warnings("PersistentVolumeClaim", name);
            // A claim may wait for its first pod; only what its provisioner complains about is news then.
            if phase == Some("Bound") || told.starts_with("ClaimNotFound") || warnings.is_empty() {
                return None;
            }
            Some(
                Finding::new(Style::Warn, format!("Claim {name} has no volume"))
                    .because_all(warnings)
                    .remedy("mend what its provisioner complains about.")
                    .command(describe),
            )
        })
        .collect()
}

/// What is wrong with the pods of the last attempt.
pub(super) fn pods(case: &Case<'_>) -> Vec<Finding> {
    if is_over(case) {
        return Vec::new();
    }
    let last = case.facts.movers.iter().filter_map(labels::attempt).max();
    let movers = case.facts.movers.iter();
    movers
        .filter(|pod| labels::attempt(pod) == last)
        .filter_map(|pod| mover(pod, case))
        .collect()
}

fn mover(pod: &Pod, case: &Case<'_>) -> Option<Finding> {
    let name = pod_name(pod);
    let status = pod.status.clone().unwrap_or_default();
    let state = status.container_statuses.clone().unwrap_or_default();
    let state = state
        .into_iter()
        .find(|known| known.name == labels::CONTAINER);
    let state = state.and_then(|known| known.state).unwrap_or_default();
    let told = case.status.waiting_for.as_deref().unwrap_or_default();
    let side = labels::side(pod).unwrap_or("mover");
    let describe = format!("kubectl describe pod {name} -n {}", case.namespace());
    if let Some(since) = &pod.metadata.deletion_timestamp {
        let late = case.now.duration_since(since.0) > SignedDuration::ZERO;
        let running = state.running.is_some();
        return (late && running).then(|| {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            let node = node.unwrap_or_default();
            Finding::new(Style::Warn, format!("Pod {name} ({side}) does not end"))
                .because(format!("It should have ended {}.", case.ago(since.0)))
                .because(format!(
                    "Its node {node} may not answer; no other mover may begin before it is gone."
                ))
                .remedy("look at the node.")
                .command(format!("kubectl get node {node}"))
                .command(describe.clone())
        });
    }
    let conditions = status.conditions.unwrap_or_default();
    let unscheduled = conditions
        .into_iter()
        .find(|known| known.type_ == "PodScheduled" && known.status == "False")
        .and_then(|known| known.message)
        .filter(|message| !told.contains(message.as_str()));
    let mut because: Vec<String> = Vec::new();
    if let Some(message) = unscheduled {
        because.push(format!("The scheduler says: {message}"));
    }
    if let ContainerState {
        waiting: Some(waiting),
        ..
    } = &state
    {
        let reason = waiting.reason.clone().unwrap_or_default();
        if !matches!(
            reason.as_str(),
            "" | "ContainerCreating" | "PodInitializing"
        ) {
            let message = waiting.message.clone().unwrap_or_default();
            because.push(sentence(&format!("{reason}: {message}")));
        }
    }
    let is_up = state.running.is_some() || state.terminated.is_some();
    if !is_up {
        let warnings = case.warnings("Pod", name).into_iter();
        because.extend(warnings.filter(|text| {
            // The scheduler's words stand above already, or in what the job waits for.
            !text.starts_with("FailedScheduling")
        }));
    }
    (!because.is_empty()).then(|| {
        Finding::new(Style::Warn, format!("Pod {name} ({side}) has not started"))
            .because_all(because)
            .command(describe)
    })
}

fn described(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners
        .filter(|owner| owner.controller == Some(true))
        .map(|owner| format!(" of {} {}", owner.kind, owner.name))
        .next()
        .unwrap_or_default();
    match node {
        Some(node) => format!("{}{owner} on {node}", pod_name(pod)),
        None => format!("{}{owner}", pod_name(pod)),
    }
}
