//! Who may talk to a mover: the other mover of the attempt, the operator that follows it, and nobody else.
//!
//! Probes come from the node and are always let through. Names are not needed: the source is given an
//! address, so neither side may ask a name server.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::MoverFacts;
use super::names::{AttemptNames, MoverKind};

/// Makes the policy of a mover. `followers` are those who may follow its progress.
pub(super) fn of(
    names: &AttemptNames,
    kind: MoverKind,
    settings: &MoverFacts,
    followers: &[NetworkPolicyPeer],
) -> NetworkPolicy {
    let peer = |kind| {
        vec![NetworkPolicyPeer {
            pod_selector: Some(names.selector(kind)),
            ..NetworkPolicyPeer::default()
        }]
    };
    let from_followers = (!followers.is_empty()).then(|| NetworkPolicyIngressRule {
        from: Some(followers.to_vec()),
        ports: Some(ports(&[settings.control_port])),
    });
    let (ingress, egress) = match kind {
        MoverKind::Destination => {
            let from_source = NetworkPolicyIngressRule {
                from: Some(peer(MoverKind::Source)),
                ports: Some(ports(&[settings.control_port, settings.data_port])),
            };
            (
                [from_source].into_iter().chain(from_followers).collect(),
                vec![],
            )
        }
        MoverKind::Source => {
            let to_destination = NetworkPolicyEgressRule {
                to: Some(peer(MoverKind::Destination)),
                ports: Some(ports(&[settings.control_port, settings.data_port])),
            };
            (vec![], vec![to_destination])
        }
        MoverKind::Local => (from_followers.into_iter().collect(), vec![]),
    };
    NetworkPolicy {
        metadata: names.metadata(kind),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(names.selector(kind)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    }
}

fn ports(numbers: &[u16]) -> Vec<NetworkPolicyPort> {
    numbers
        .iter()
        .map(|port| NetworkPolicyPort {
            protocol: Some("TCP".to_owned()),
            port: Some(IntOrString::Int((*port).into())),
            end_port: None,
        })
        .collect()
}
