//! Who may talk to a mover: the other mover of the attempt, and nobody else.
//!
//! Probes come from the node and are always let through. Names are not needed: the source is given an
//! address, so neither side may ask a name server.

use blit_crds::arguments::{CONTROL_PORT, DATA_PORT};
use blit_crds::mirrorjob::Side;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::AttemptNames;

/// Makes the policy of a side.
pub(super) fn of(names: &AttemptNames, side: Side) -> NetworkPolicy {
    let peer = |side| {
        vec![NetworkPolicyPeer {
            pod_selector: Some(names.selector(side)),
            ..NetworkPolicyPeer::default()
        }]
    };
    let (ingress, egress) = match side {
        Side::Destination => {
            let from_source = NetworkPolicyIngressRule {
                from: Some(peer(Side::Source)),
                ports: Some(ports()),
            };
            (vec![from_source], vec![])
        }
        Side::Source => {
            let to_destination = NetworkPolicyEgressRule {
                to: Some(peer(Side::Destination)),
                ports: Some(ports()),
            };
            (vec![], vec![to_destination])
        }
    };
    NetworkPolicy {
        metadata: names.metadata(side),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(names.selector(side)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    }
}

fn ports() -> Vec<NetworkPolicyPort> {
    [CONTROL_PORT, DATA_PORT]
        .map(|port| NetworkPolicyPort {
            protocol: Some("TCP".to_owned()),
            port: Some(IntOrString::Int(port.into())),
            end_port: None,
        })
        .into()
}
