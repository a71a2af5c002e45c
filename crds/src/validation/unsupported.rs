//! Fields whose data path does not exist yet.
//!
//! A field that is accepted and does nothing is a lie, so these are refused. Whoever builds a feature
//! removes its line here.

use crate::finding::Finding;
use crate::mirrorjob::{Destination, MirrorJobSpec, TransportKind};

/// Returns a finding for every feature that a spec asks for and this version does not have.
pub(super) fn requested(spec: &MirrorJobSpec) -> Vec<Finding> {
    FEATURES
        .iter()
        .filter(|feature| (feature.requested)(spec))
        .map(|feature| {
            Finding::new(
                feature.field,
                format!("{} is not supported by this version of blit", feature.what),
                feature.remedy,
            )
        })
        .collect()
}

/// Returns field and description of every feature that this version does not have.
pub(crate) fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    FEATURES.iter().map(|feature| (feature.field, feature.what))
}

/// A part of the resource that has no effect yet.
struct Feature {
    field: &'static str,
    what: &'static str,
    remedy: &'static str,
    requested: fn(&MirrorJobSpec) -> bool,
}

const REMOVE: &str = "remove the field";

const FEATURES: [Feature; 3] = [
    Feature {
        field: "spec.bandwidthLimit",
        what: "a limit on the bandwidth",
        remedy: REMOVE,
        requested: |spec| spec.bandwidth_limit.is_some(),
    },
    Feature {
        field: "spec.transport.kind",
        what: "the data plane RDMA",
        remedy: "use Auto, TCP or GRPC",
        requested: |spec| spec.transport.kind == TransportKind::Rdma,
    },
    Feature {
        field: "spec.destination.nodes",
        what: "a destination on many nodes",
        remedy: "make a MirrorJob for each node, with destination.hostPath",
        requested: |spec| matches!(spec.destination, Destination::Nodes(_)),
    },
];
