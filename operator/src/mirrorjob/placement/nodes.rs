//! Which nodes a selector, an affinity and taints leave, by the rules of the scheduler.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration,
};

use crate::mirrorjob::dereference::Node;

/// Taint of a cordoned node.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

/// Says whether a node is one that a selector means: one of its terms must hold, all of it.
pub(super) fn selected(node: &Node, selector: &NodeSelector) -> bool {
    let holds = |term: &NodeSelectorTerm| {
        let labels = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        // An empty term means no node.
        !(labels.is_empty() && fields.is_empty())
            && labels.iter().all(|wanted| {
                let value = node.labels.get(&wanted.key).map(String::as_str);
                required(wanted, value)
            })
            && fields.iter().all(|wanted| {
                let value = (wanted.key == "metadata.name").then_some(node.name.as_str());
                required(wanted, value)
            })
    };
    selector.node_selector_terms.iter().any(holds)
}

/// Says whether a node has all of these labels.
pub(super) fn labelled(node: &Node, labels: &BTreeMap<String, String>) -> bool {
    let mut labels = labels.iter();
    labels.all(|(key, value)| node.labels.get(key) == Some(value))
}

/// Returns what keeps a new pod with these tolerations off a node, as words after the node's name.
pub(super) fn repelled(node: &Node, tolerations: &[Toleration]) -> Option<String> {
    let cordon = Taint {
        key: CORDONED.to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if node.unschedulable && !tolerated(&cordon, tolerations) {
        return Some("is cordoned".to_owned());
    }
    let mut taints = node.taints.iter();
    let taint = taints.find(|taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !tolerated(taint, tolerations)
    })?;
    let value = taint.value.as_deref().unwrap_or_default();
    let text = match value {
        "" => format!("{}:{}", taint.key, taint.effect),
        value => format!("{}={value}:{}", taint.key, taint.effect),
    };
    Some(format!("has the taint {text}, which nobody tolerates"))
}

fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let value = toleration.value.as_deref().unwrap_or_default();
        let any_value = toleration.operator.as_deref() == Some("Exists");
        (effect.is_empty() || effect == taint.effect)
            && (key == taint.key || (key.is_empty() && any_value))
            && (any_value || value == taint.value.as_deref().unwrap_or_default())
    })
}

fn required(wanted: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let is_listed = || value.is_some_and(|value| values.iter().any(|listed| listed == value));
    match wanted.operator.as_str() {
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(value, values).is_some_and(|(value, bound)| value > bound),
        "Lt" => compare(value, values).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

fn compare(value: Option<&str>, values: &[String]) -> Option<(i64, i64)> {
    match values {
        [bound] => Some((value?.parse().ok()?, bound.parse().ok()?)),
        _ => None,
    }
}
