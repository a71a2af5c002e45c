//! Sets of nodes, each with the reason for it, and what is left of them together.

use std::collections::BTreeSet;

use blit_crds::outcome::Reason;
use k8s_openapi::api::core::v1::Toleration;

use super::nodes::repelled;
use super::{Wait, wait};
use crate::mirrorjob::dereference::{Node, World};

/// Names of nodes that a message shows.
const SHOWN: usize = 3;

/// The nodes that one cause leaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constraint {
    /// The nodes.
    pub(super) nodes: BTreeSet<String>,
    /// The cause, as a clause that the nodes follow: "claim `raw` is used by pod `web` on".
    pub(super) cause: String,
    /// What a person can do to be rid of it.
    pub(super) remedy: String,
}

/// Returns the nodes that all constraints leave; absent if there is none, so that any node will do.
///
/// # Errors
/// Fails, with both causes, when two constraints contradict each other, and when one leaves no node.
pub(super) fn common(
    who: &str,
    constraints: &[Constraint],
) -> Result<Option<BTreeSet<String>>, Wait> {
    let mut left: Option<BTreeSet<String>> = None;
    for (position, constraint) in constraints.iter().enumerate() {
        let both = match &left {
            None => constraint.nodes.clone(),
            Some(left) => left & &constraint.nodes,
        };
        if both.is_empty() {
            return Err(contradiction(who, &constraints[..position], constraint));
        }
        left = Some(both);
    }
    Ok(left)
}

/// Returns those of the nodes on which a pod with these tolerations can start now. `among` is absent for any
/// node, and so is the result if the nodes are not known.
///
/// # Errors
/// Fails, with what is wrong with the nodes, when none is left.
pub(super) fn usable(
    who: &str,
    among: Option<&BTreeSet<String>>,
    tolerations: &[Toleration],
    world: &World,
) -> Result<Option<BTreeSet<String>>, Wait> {
    let Some(nodes) = &world.nodes else {
        return Ok(among.cloned());
    };
    let candidates: Vec<&Node> = nodes
        .iter()
        .filter(|node| among.is_none_or(|among| among.contains(&node.name)))
        .collect();
    let ready: Vec<&Node> = candidates
        .iter()
        .copied()
        .filter(|node| node.ready)
        .collect();
    if ready.is_empty() {
        return Err(unreachable(who, &candidates, among));
    }
    let repelled: Vec<(&Node, Option<String>)> = ready
        .into_iter()
        .map(|node| (node, repelled(node, tolerations)))
        .collect();
    let usable: BTreeSet<String> = repelled
        .iter()
        .filter(|(_, why)| why.is_none())
        .map(|(node, _)| node.name.clone())
        .collect();
    if !usable.is_empty() {
        return Ok(Some(usable));
    }
    let causes: Vec<String> = repelled
        .iter()
        .take(SHOWN)
        .filter_map(|(node, why)| Some(format!("node `{}` {}", node.name, why.as_ref()?)))
        .collect();
    Err(wait(
        Reason::Unschedulable,
        format!(
            "no node takes the {who}: {}; uncordon a node, or give the {who} a toleration in spec.mover.tolerations",
            causes.join(", ")
        ),
    ))
}

/// Writes a set of nodes for people.
pub(super) fn named(nodes: &BTreeSet<String>) -> String {
    let shown: Vec<String> = nodes
        .iter()
        .take(SHOWN)
        .map(|node| format!("`{node}`"))
        .collect();
    match (nodes.len(), nodes.len().saturating_sub(SHOWN)) {
        (0, _) => "no node".to_owned(),
        (1, _) => format!("node {}", shown.join("")),
        (_, 0) => format!("nodes {}", shown.join(", ")),
        (_, more) => format!("nodes {} and {more} more", shown.join(", ")),
    }
}

/// Names the constraint and the earlier one that it contradicts, or all earlier ones if only together they do.
fn contradiction(who: &str, earlier: &[Constraint], last: &Constraint) -> Wait {
    let say =
        |constraint: &Constraint| format!("{} {}", constraint.cause, named(&constraint.nodes));
    let message = if last.nodes.is_empty() {
        format!("no node fits the {who}: {}; {}", say(last), last.remedy)
    } else {
        let culprit = earlier
            .iter()
            .find(|earlier| earlier.nodes.is_disjoint(&last.nodes));
        let against = match culprit {
            Some(culprit) => say(culprit),
            None => earlier.iter().map(say).collect::<Vec<_>>().join(", "),
        };
        let remedy = match culprit {
            Some(culprit) if culprit.remedy != last.remedy => {
                format!("{}, or {}", culprit.remedy, last.remedy)
            }
            _ => last.remedy.clone(),
        };
        format!(
            "no node fits the {who}: {against}, but {}; {remedy}",
            say(last)
        )
    };
    wait(Reason::Unschedulable, message)
}

fn unreachable(who: &str, candidates: &[&Node], among: Option<&BTreeSet<String>>) -> Wait {
    if candidates.is_empty() {
        let gone = among.map_or_else(
            || "the cluster has no node".to_owned(),
            |among| format!("{} does not exist", named(among)),
        );
        return wait(
            Reason::Unschedulable,
            format!("no node fits the {who}: {gone}; see `kubectl get nodes`"),
        );
    }
    let names: BTreeSet<String> = candidates.iter().map(|node| node.name.clone()).collect();
    wait(
        Reason::NodeUnreachable,
        format!(
            "the {who} needs {}, and {} ready; bring it back, or free its volumes by deleting the node or by the taint \
             node.kubernetes.io/out-of-service",
            named(&names),
            if names.len() == 1 {
                "it is not"
            } else {
                "none of them is"
            }
        ),
    )
}
