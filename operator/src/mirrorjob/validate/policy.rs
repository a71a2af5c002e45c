//! From the configuration of the operator to what it allows one job.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Destination, Source};

use super::{HostPathGrant, Policy};
use crate::mirrorjob::dereference::World;
use crate::settings::{Access, Settings};

impl Policy {
    /// Returns what the administrator allows a job: by its namespace, and by the labels of the nodes that it names. A
    /// node whose labels are not known has none.
    pub fn of(settings: &Settings, job: &MirrorJob, world: &World) -> Self {
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        let source = match &job.spec.source {
            Source::HostPath(host) => Some(&host.node_name),
            Source::PersistentVolumeClaim(_) => None,
        };
        let destination = match &job.spec.destination {
            Destination::HostPath(host) => Some(&host.node_name),
            Destination::PersistentVolumeClaim(_) | Destination::Nodes(_) => None,
        };
        let nodes = source.into_iter().chain(destination);
        Self {
            maximum: settings.pod_security(namespace, world.pod_security.as_deref()),
            host_paths: nodes
                .flat_map(|node| grants(settings, namespace, node, world))
                .collect(),
        }
    }
}

fn grants(settings: &Settings, namespace: &str, node: &str, world: &World) -> Vec<HostPathGrant> {
    let unknown = BTreeMap::new();
    let labels = world.node(node).map_or(&unknown, |node| &node.labels);
    let allowed = settings.host_paths(namespace, labels).into_iter();
    allowed
        .map(|allowed| HostPathGrant {
            node: Some(node.to_owned()),
            prefix: allowed.prefix.as_str().to_owned(),
            writable: allowed.access == Access::ReadWrite,
            special_files: allowed.special_files,
        })
        .collect()
}
