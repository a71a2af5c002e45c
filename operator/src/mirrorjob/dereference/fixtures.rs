//! Clusters for tests, built up from a few words.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration,
};

use super::world::{Binding, Claim, ClaimPhase, ClaimPod, Node, PodState, Volume, World};

/// What the scheduler says of a pod that needs a claim of one pod.
pub(crate) const ONE_POD_REFUSED: &str = "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 \
     node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.";

/// A cluster of ready nodes.
pub(crate) fn cluster(nodes: &[&str]) -> World {
    World {
        nodes: Some(nodes.iter().map(|name| node(name)).collect()),
        ..World::default()
    }
}

/// A ready node with its name as label `host`.
pub(crate) fn node(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        labels: [("host".to_owned(), name.to_owned())].into(),
        ready: true,
        ..Node::default()
    }
}

/// A claim of one mode that is bound to a volume `NAME-volume` without affinity.
pub(crate) fn claim(name: &str, mode: &str) -> (String, Claim) {
    let claim = Claim {
        phase: ClaimPhase::Bound,
        access_modes: vec![mode.to_owned()],
        volume_modes: vec![mode.to_owned()],
        volume_name: Some(format!("{name}-volume")),
        volume: Some(Volume::default()),
        ..Claim::default()
    };
    (name.to_owned(), claim)
}

/// A ReadWriteOnce claim without a volume.
pub(crate) fn unbound(name: &str, binding: Binding) -> (String, Claim) {
    let claim = Claim {
        access_modes: vec!["ReadWriteOnce".to_owned()],
        storage_class: Some("fast".to_owned()),
        binding,
        ..Claim::default()
    };
    (name.to_owned(), claim)
}

/// A pod that runs on a node.
pub(crate) fn running(name: &str, claims: &[&str], node: &str) -> ClaimPod {
    ClaimPod {
        name: name.to_owned(),
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        node: Some(node.to_owned()),
        state: PodState::Running,
        ..ClaimPod::default()
    }
}

/// A pod that got a node, on which its volumes are not there yet.
pub(crate) fn starting(name: &str, claims: &[&str], node: &str) -> ClaimPod {
    ClaimPod {
        state: PodState::Starting {
            sandbox_ready: false,
        },
        ..running(name, claims, node)
    }
}

/// A pod without a node, and why.
pub(crate) fn unscheduled(name: &str, claims: &[&str], message: Option<&str>) -> ClaimPod {
    ClaimPod {
        node: None,
        state: PodState::Unscheduled {
            message: message.map(str::to_owned),
        },
        ..running(name, claims, "")
    }
}

/// A selector of the nodes whose label `host` is one of these.
pub(crate) fn on_hosts(hosts: &[&str]) -> NodeSelector {
    let requirement = NodeSelectorRequirement {
        key: "host".to_owned(),
        operator: "In".to_owned(),
        values: Some(hosts.iter().map(|host| (*host).to_owned()).collect()),
    };
    NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_expressions: Some(vec![requirement]),
            match_fields: None,
        }],
    }
}

/// A taint `KEY=only:EFFECT`.
pub(crate) fn taint(key: &str, effect: &str) -> Taint {
    Taint {
        key: key.to_owned(),
        value: Some("only".to_owned()),
        effect: effect.to_owned(),
        time_added: None,
    }
}

/// Tolerates every taint of a key.
pub(crate) fn tolerates(key: &str) -> Toleration {
    Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        ..Toleration::default()
    }
}

impl World {
    /// Adds claims.
    pub(crate) fn with_claims<const N: usize>(mut self, claims: [(String, Claim); N]) -> Self {
        self.claims.extend(claims);
        self
    }

    /// Adds pods.
    pub(crate) fn with_pods<const N: usize>(mut self, pods: [ClaimPod; N]) -> Self {
        self.pods.extend(pods);
        self
    }

    /// Lets only the nodes of these hosts reach the volume of a claim.
    pub(crate) fn reached_from(mut self, claim: &str, hosts: &[&str]) -> Self {
        self.volume(claim).node_affinity = Some(on_hosts(hosts));
        self
    }

    /// Attaches the volume of a claim to a node.
    pub(crate) fn attached(mut self, claim: &str, node: &str) -> Self {
        self.volume(claim).attached_to = BTreeSet::from([node.to_owned()]);
        self
    }

    /// Changes a node.
    pub(crate) fn with_node(mut self, name: &str, change: impl FnOnce(&mut Node)) -> Self {
        let mut nodes = self.nodes.iter_mut().flatten();
        change(nodes.find(|node| node.name == name).unwrap());
        self
    }

    /// Changes a claim.
    pub(crate) fn with_claim(mut self, name: &str, change: impl FnOnce(&mut Claim)) -> Self {
        change(self.claims.get_mut(name).unwrap());
        self
    }

    /// Takes away what an operator of a few namespaces may not read.
    pub(crate) fn namespaced(mut self) -> Self {
        self.nodes = None;
        for claim in self.claims.values_mut() {
            claim.volume = None;
            claim.binding = Binding::Unknown;
        }
        self
    }

    fn volume(&mut self, claim: &str) -> &mut Volume {
        let claim = self.claims.get_mut(claim).unwrap();
        claim.volume.get_or_insert_default()
    }
}
