//! The pod of a mover.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, LocalObjectReference, Pod, PodSpec};

use super::names::{AttemptNames, MoverKind};
use super::{Facts, labels, placement, security, volumes};
use crate::mirrorjob::attempt::RESULT_FINALIZER;
use crate::mirrorjob::validate::ValidatedJob;

/// Seconds that a mover has to finish what it is writing.
const GRACE_PERIOD_SECONDS: i64 = 60;

/// Annotations of every mover: no mesh proxy between the movers, no eviction to save a node.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("linkerd.io/inject", "disabled"),
    ("sidecar.istio.io/inject", "false"),
];

/// Labels that keep meshes away: newer Istio reads labels, not annotations.
const MESH_LABELS: [(&str, &str); 2] = [
    ("istio.io/dataplane-mode", "none"),
    ("sidecar.istio.io/inject", "false"),
];

/// Makes the pod of a mover around its container. `authority` is the certificate by which the operator knows a mover
/// that listens.
pub(super) fn of(
    job: &ValidatedJob,
    facts: &Facts,
    names: &AttemptNames,
    kind: MoverKind,
    container: Container,
    authority: Option<&str>,
) -> Pod {
    let side = security::side_of(kind);
    let settings = job.pod(side);
    let place = facts.of(side);
    let mut metadata = names.metadata(kind);
    metadata
        .labels
        .get_or_insert_default()
        .extend(with_own(&settings.pod_labels, MESH_LABELS));
    let mut annotations = with_own(&settings.pod_annotations, ANNOTATIONS);
    annotations.extend(authority.map(|pem| (labels::AUTHORITY.to_owned(), pem.to_owned())));
    metadata.annotations = Some(annotations);
    if facts.settings.keep_results {
        metadata.finalizers = Some(vec![RESULT_FINALIZER.to_owned()]);
    }
    let mut tolerations = settings.tolerations.clone().unwrap_or_default();
    tolerations.extend(place.tolerations.iter().cloned());
    let defaults = &facts.settings;
    let priority_class_name = settings
        .priority_class_name
        .clone()
        .or_else(|| defaults.priority_class_name.clone());
    let pull_secrets = settings.image_pull_secrets.clone().or_else(|| {
        let secrets = defaults.image_pull_secrets.iter();
        let secrets: Vec<_> = secrets
            .map(|name| LocalObjectReference { name: name.clone() })
            .collect();
        (!secrets.is_empty()).then_some(secrets)
    });
    Pod {
        metadata,
        spec: Some(PodSpec {
            affinity: placement::affinity(job, side, &settings, place),
            automount_service_account_token: Some(false),
            containers: vec![container],
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets,
            node_selector: settings.node_selector.clone(),
            priority_class_name,
            restart_policy: Some("Never".to_owned()),
            security_context: Some(security::of_pod(job, facts, kind)),
            service_account_name: settings.service_account_name.clone(),
            termination_grace_period_seconds: Some(GRACE_PERIOD_SECONDS),
            tolerations: (!tolerations.is_empty()).then_some(tolerations),
            volumes: Some(volumes::volumes(job, facts, names, kind)),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// The user's entries with ours; reserved keys were refused, so they cannot collide.
fn with_own<const N: usize>(
    user: &Option<BTreeMap<String, String>>,
    own: [(&str, &str); N],
) -> BTreeMap<String, String> {
    let mut entries = user.clone().unwrap_or_default();
    entries.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    entries
}
