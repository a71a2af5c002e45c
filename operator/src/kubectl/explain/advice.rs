//! What each reason means and what helps. Pure.

use blit_crds::mirrorjob::{Destination, PodSecurity, Side, Source};
use blit_crds::outcome::Reason;

use super::facts::Case;
use super::finding::Finding;

/// Returns the reason of this word.
pub(super) fn reason(word: &str) -> Option<Reason> {
    Reason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == word)
}

/// Adds to a finding what a reason means and what helps.
pub(super) fn advise(finding: Finding, reason: Reason, case: &Case<'_>) -> Finding {
    let (meaning, remedy) = words(reason);
    let finding = finding.because(meaning).remedy(remedy);
    commands(reason, case)
        .into_iter()
        .fold(finding, Finding::command)
}

/// What a reason means, and the remedy.
fn words(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Interrupted => (
            "A mover was stopped by a signal; nothing is half-written.",
            "nothing; the next attempt copies what is missing.",
        ),
        Reason::SourceChanged => (
            "Files changed while they were read; for those the destination keeps its old version.",
            "quieten what writes to the source, or mirror a snapshot of it.",
        ),
        Reason::EntriesFailed => (
            "Some entries could not be copied; all others were.",
            "mend the entries that are named. Those that a mover may not read need spec.mover.podSecurity: Baseline.",
        ),
        Reason::PeerUnreachable => (
            "One mover could not reach the other, or lost it.",
            "see whether the other mover ended first, and why; if both wait for each other, let network policies and \
             firewalls pass TCP 9031 and 9032 between the two nodes.",
        ),
        Reason::Stalled => (
            "Nothing moved for spec.progressDeadlineSeconds.",
            "look for a storage system that hangs; the log of the mover names the call.",
        ),
        Reason::OomKilled => (
            "A mover used more memory than its limit.",
            "make the job again with a higher spec.mover.resources.limits.memory.",
        ),
        Reason::PodDisrupted => (
            "A mover was evicted, preempted or deleted, or its node was drained. That does not count as a failure.",
            "nothing; the next attempt copies what is missing.",
        ),
        Reason::InternalError => (
            "An error that has no reason of its own.",
            "read the message and the log; if it comes again, report both.",
        ),
        Reason::Invalid => (
            "The MirrorJob asks for something that cannot be.",
            "delete it and make it again as the message says; a spec cannot be changed.",
        ),
        Reason::DeletionsWithheld => (
            "Everything was copied, but below some directories nothing was deleted, because they could not be listed \
             completely.",
            "mend the directories that the log names (permissions, I/O errors), then retry.",
        ),
        Reason::SourceEmpty => (
            "The source is empty, as a volume is that was not mounted or not filled. Nothing was deleted.",
            "check the source. If it is meant to be empty, make the job with spec.deletion.allowEmptySource: true.",
        ),
        Reason::NothingInCommon => (
            "Source and destination have no name in common at the top, so that the destination may be the wrong one. \
             Nothing was deleted.",
            "check both. If it is meant, make the job with a spec.deletion.maxDelete.",
        ),
        Reason::MaxDeleteExceeded => (
            "More would be deleted than spec.deletion.maxDelete allows, or than half of the destination. Nothing was \
             deleted.",
            "check both sides. If it is meant, make the job with a higher spec.deletion.maxDelete.",
        ),
        Reason::VerifyFailed => (
            "The content of the two sides differs after the copy.",
            "suspect the network between the two nodes, or their memory and disks; the log names the files.",
        ),
        Reason::DestinationFull => (
            "The destination has no space, no inodes or no quota left.",
            "enlarge the claim, or free space in it, then retry; what is there is not copied again.",
        ),
        Reason::PermissionDenied => (
            "A mover may not read the directory of the source, or not write that of the destination.",
            "make the job with spec.mover.securityContext.runAsUser (the owner of the files) or fsGroup, or with \
             spec.mover.podSecurity: Baseline.",
        ),
        Reason::AuthenticationFailed => (
            "One mover does not accept the certificate of the other.",
            "compare the clocks of the two nodes, then retry.",
        ),
        Reason::IncompatibleVersion => (
            "The movers have no version of the protocol in common, as in the middle of an upgrade.",
            "retry when the upgrade of the operator is over.",
        ),
        Reason::BackoffLimitExceeded => (
            "Too many attempts failed without moving any data.",
            "mend the cause of the last failure, then retry.",
        ),
        Reason::DeadlineExceeded => (
            "The time of spec.activeDeadlineSeconds is over.",
            "retry with a longer one; what is there is not copied again.",
        ),
        Reason::ProgressDeadlineExceeded => (
            "No attempt made progress within spec.progressDeadlineSeconds.",
            "look for a storage system that hangs, then retry.",
        ),
        Reason::StartupDeadlineExceeded => (
            "The job waited longer than spec.startupDeadlineSeconds.",
            "mend what it waited for, as the message says, then retry.",
        ),
        Reason::TransportUnavailable => (
            "The data plane of spec.transport.kind cannot be used, and spec.transport.fallback is Deny.",
            "allow fallback, or let TCP 9032 pass between the nodes.",
        ),
        Reason::Unschedulable => (
            "No node fits: volumes, pods that use the claims and the settings of the mover leave none.",
            "remove a node selector or affinity of spec.mover, uncordon or free a node that reaches the volume, or stop \
             the pod that holds the claim elsewhere.",
        ),
        Reason::VolumeInUse => (
            "Another pod uses the claim, and two writers could spoil each other's files.",
            "stop that pod (scale its Deployment or StatefulSet to 0); the job goes on by itself. Or make the job with \
             inUse: Colocate to write beside it.",
        ),
        Reason::ClaimNotFound => (
            "A MirrorJob uses claims of its own namespace only.",
            "make the claim, or make the job again with the right name, or give the destination a template.",
        ),
        Reason::ClaimNotBound => (
            "A claim has no volume yet.",
            "see the events of the claim: its storage class or capacity is missing, or its provisioner does not work.",
        ),
        Reason::ImageUnavailable => (
            "The image of the movers cannot be pulled.",
            "an administrator checks the value `image` of the chart; the pull Secret must exist in the namespace of the \
             job (spec.mover.imagePullSecrets).",
        ),
        Reason::QuotaExceeded => (
            "The quota of the namespace has no room for the movers, or for the claim to make.",
            "raise the quota, free some of it, or ask for less in spec.mover.resources.",
        ),
        Reason::PodRejected => (
            "Admission refused a mover.",
            "most often the namespace enforces a Pod Security Standard below spec.mover.podSecurity: raise the one, or \
             lower the other.",
        ),
        Reason::DestinationBusy => (
            "One place has one writer at a time, and nothing is read while it is written. The oldest job goes first.",
            "wait, or cancel the other job; this one goes on by itself.",
        ),
        Reason::NodeUnreachable => (
            "The node of a mover does not answer. The mover may still write there, so that no other may begin.",
            "bring the node back. If it is off for sure, delete it or taint it as out of service.",
        ),
        Reason::PermissionNotGranted => (
            "The namespace does not allow the level of spec.mover.podSecurity.",
            "an administrator allows it to the namespace, within the value podSecurity.maximum of the chart; or make the \
             job with a lower level.",
        ),
        Reason::HostPathNotAllowed => (
            "No entry of the value hostPath.allow of the chart covers the path on this node for this namespace.",
            "an administrator adds an entry; or use a claim.",
        ),
    }
}

/// Commands that help with a reason.
fn commands(reason: Reason, case: &Case<'_>) -> Vec<String> {
    let (name, namespace) = (case.name(), case.namespace());
    let logs = || format!("kubectl blit logs {name} -n {namespace}");
    let claims = || format!("kubectl get persistentvolumeclaims -n {namespace}");
    match reason {
        Reason::SourceChanged
        | Reason::EntriesFailed
        | Reason::Stalled
        | Reason::InternalError
        | Reason::DeletionsWithheld
        | Reason::VerifyFailed
        | Reason::ProgressDeadlineExceeded => vec![logs()],
        Reason::PeerUnreachable => vec![
            logs(),
            format!("kubectl get networkpolicies -n {namespace}"),
        ],
        Reason::Unschedulable => vec!["kubectl get nodes".to_owned(), claims()],
        Reason::ClaimNotFound => vec![claims()],
        Reason::ClaimNotBound => {
            let mut commands = describe_claims(case);
            commands.push("kubectl get storageclasses".to_owned());
            commands
        }
        Reason::DestinationFull => case
            .claim(Side::Destination)
            .map_or_else(Vec::new, |claim| {
                vec![format!(
                    "kubectl describe persistentvolumeclaim {claim} -n {namespace}"
                )]
            }),
        Reason::QuotaExceeded => vec![
            format!("kubectl describe resourcequota -n {namespace}"),
            format!("kubectl describe limitrange -n {namespace}"),
        ],
        Reason::PodRejected => vec![format!("kubectl get namespace {namespace} --show-labels")],
        Reason::DestinationBusy => vec![format!("kubectl blit status -n {namespace}")],
        Reason::NodeUnreachable => vec![
            "kubectl get nodes".to_owned(),
            "kubectl taint node NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
                .to_owned(),
        ],
        Reason::PermissionNotGranted => vec![format!(
            "kubectl annotate namespace {namespace} blit.dev/pod-security={:?} --overwrite",
            level(case)
        )],
        Reason::HostPathNotAllowed => allow(case),
        _ => Vec::new(),
    }
}

fn describe_claims(case: &Case<'_>) -> Vec<String> {
    let claims = case.claims().into_iter();
    claims
        .map(|claim| {
            let namespace = case.namespace();
            format!("kubectl describe persistentvolumeclaim {claim} -n {namespace}")
        })
        .collect()
}

/// The level that both movers together need.
fn level(case: &Case<'_>) -> PodSecurity {
    let mover = &case.job.spec.mover;
    let levels = Side::ALL.into_iter().map(|side| mover.pod_security(side));
    levels.max().unwrap_or_default()
}

/// The value of the chart that would allow each directory of a node.
fn allow(case: &Case<'_>) -> Vec<String> {
    let entry = |path: &str, access: &str| {
        format!(
            "helm value: hostPath.allow: [{{prefix: {path}, namespaces: [{}], access: {access}}}]",
            case.namespace()
        )
    };
    let mut entries = Vec::new();
    if let Source::HostPath(host) = &case.job.spec.source {
        entries.push(entry(&host.path, "ReadOnly"));
    }
    if let Destination::HostPath(host) = &case.job.spec.destination {
        entries.push(entry(&host.path, "ReadWrite"));
    }
    entries
}
