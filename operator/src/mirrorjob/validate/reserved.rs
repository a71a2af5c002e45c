//! Labels and annotations that are not the user's to set.
//!
//! With them a user could leave the job's network policies, change the network or the confinement of a
//! mover, or make a pod look like a part of something else.

use std::collections::BTreeMap;

use blit_crds::Finding;
use blit_crds::mirrorjob::PodSettings;

/// Domains whose keys are reserved, with everything below them.
const DOMAINS: [&str; 14] = [
    // Blit's own, and the labels that say what a pod is part of.
    "blit.dev",
    "app.kubernetes.io",
    // Network plugins.
    "cilium.io",
    "cncf.io",
    "k8s.ovn.org",
    "multus-cni.io",
    "projectcalico.org",
    // Confinement.
    "apparmor.security.beta.kubernetes.io",
    "seccomp.security.alpha.kubernetes.io",
    // Meshes: a proxy between two movers breaks the data plane.
    "istio.io",
    "linkerd.io",
    "kuma.io",
    // Eviction by autoscalers is decided by the operator.
    "cluster-autoscaler.kubernetes.io",
    "karpenter.sh",
];

/// Single keys of the network plugins that lie in Kubernetes' own domain.
const KEYS: [&str; 2] = [
    "kubernetes.io/ingress-bandwidth",
    "kubernetes.io/egress-bandwidth",
];

/// Returns a finding for every reserved key of a pod's settings.
pub(super) fn used(pod: &PodSettings) -> Vec<Finding> {
    let labels = keys("spec.mover.podLabels", pod.pod_labels.as_ref());
    labels
        .chain(keys(
            "spec.mover.podAnnotations",
            pod.pod_annotations.as_ref(),
        ))
        .collect()
}

fn keys<'a>(
    field: &'a str,
    map: Option<&'a BTreeMap<String, String>>,
) -> impl Iterator<Item = Finding> + 'a {
    map.into_iter()
        .flatten()
        .filter(|(key, _)| is_reserved(key))
        .map(move |(key, _)| {
            Finding::new(
                field,
                format!("`{key}` is reserved"),
                "use a prefix of your own",
            )
        })
}

fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    KEYS.contains(&key)
        || DOMAINS.iter().any(|reserved| {
            domain
                .strip_suffix(reserved)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}
