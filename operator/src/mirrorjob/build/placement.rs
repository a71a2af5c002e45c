//! On which nodes a mover may run.
//!
//! The nodes that its volume allows are required by name, together with whatever the user requires. The
//! scheduler keeps the last word: `nodeName` would go past it, its taints and its resources.

use blit_crds::mirrorjob::{PodSettings, Side};
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
};

use super::PlaceFacts;
use crate::mirrorjob::validate::ValidatedJob;

/// Returns the affinity of the pod of a side.
pub(super) fn affinity(
    job: &ValidatedJob,
    side: Side,
    settings: &PodSettings,
    facts: &PlaceFacts,
) -> Option<Affinity> {
    let nodes = match job.host_path(side) {
        Some((node, _)) => Some(vec![node.to_owned()]),
        None => facts.nodes.clone(),
    };
    let Some(nodes) = nodes else {
        return settings.affinity.clone();
    };
    let mut affinity = settings.affinity.clone().unwrap_or_default();
    let mut node_affinity = affinity.node_affinity.take().unwrap_or_default();
    let wanted = node_affinity
        .required_during_scheduling_ignored_during_execution
        .take();
    affinity.node_affinity = Some(NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector {
            node_selector_terms: on_nodes(&nodes, wanted),
        }),
        ..node_affinity
    });
    Some(affinity)
}

/// Terms are alternatives, and a term can name one node only: so every term of the user is repeated for
/// every node.
fn on_nodes(nodes: &[String], wanted: Option<NodeSelector>) -> Vec<NodeSelectorTerm> {
    let wanted = match wanted {
        Some(selector) if !selector.node_selector_terms.is_empty() => selector.node_selector_terms,
        _ => vec![NodeSelectorTerm::default()],
    };
    nodes
        .iter()
        .flat_map(|node| {
            wanted.iter().map(|term| {
                let mut term = term.clone();
                term.match_fields
                    .get_or_insert_default()
                    .push(NodeSelectorRequirement {
                        key: "metadata.name".to_owned(),
                        operator: "In".to_owned(),
                        values: Some(vec![node.clone()]),
                    });
                term
            })
        })
        .collect()
}
