//! The nodes that the user's own settings leave.

use std::collections::BTreeSet;

use blit_crds::mirrorjob::PodSettings;
use k8s_openapi::api::core::v1::NodeSelector;

use super::constraint::Constraint;
use super::nodes::{labelled, selected};
use crate::mirrorjob::dereference::{Node, World};

/// Returns the nodes that the settings of a pod leave. Nothing is known of them where nodes may not be read:
/// the scheduler sees to it then.
pub(super) fn constraints(settings: &PodSettings, world: &World) -> Vec<Constraint> {
    let Some(nodes) = &world.nodes else {
        return Vec::new();
    };
    let selector = settings.node_selector.as_ref();
    let by_selector = selector.filter(|labels| !labels.is_empty()).map(|labels| {
        let text: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Constraint {
            nodes: names(nodes, |node| labelled(node, labels)),
            cause: format!("spec.mover.nodeSelector ({}) allows", text.join(",")),
            remedy: "make the job with another nodeSelector".to_owned(),
        }
    });
    let by_affinity = required(settings).map(|selector| Constraint {
        nodes: names(nodes, |node| selected(node, selector)),
        cause: "spec.mover.affinity.nodeAffinity allows".to_owned(),
        remedy: "make the job with another affinity".to_owned(),
    });
    by_selector.into_iter().chain(by_affinity).collect()
}

fn required(settings: &PodSettings) -> Option<&NodeSelector> {
    let affinity = settings.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()
}

fn names(nodes: &[Node], fits: impl Fn(&Node) -> bool) -> BTreeSet<String> {
    nodes
        .iter()
        .filter(|node| fits(node))
        .map(|node| node.name.clone())
        .collect()
}
