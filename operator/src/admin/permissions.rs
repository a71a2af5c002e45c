//! Which permissions the operator needs. Pure.

use std::fmt;

use crate::authority::SECRET_NAME;
use crate::settings::Settings;

/// Something that the operator must be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resource, with `/` and the subresource where that is meant.
    pub resource: &'static str,
    /// Verb.
    pub verb: &'static str,
    /// Namespace; `None`: in all, or a resource without one.
    pub namespace: Option<String>,
    /// Name of the object, where it is about a single one.
    pub name: Option<String>,
}

/// Group, resource and verbs, as in a rule of a role.
type Rule = (&'static str, &'static str, &'static [&'static str]);

/// Where MirrorJobs are.
const NAMESPACED: [Rule; 8] = [
    (
        "blit.dev",
        "mirrorjobs",
        &["list", "watch", "patch", "delete"],
    ),
    ("blit.dev", "mirrorjobs/status", &["patch"]),
    ("blit.dev", "mirrorjobs/finalizers", &["update"]),
    ("", "pods", &["list", "watch", "create", "patch", "delete"]),
    ("", "secrets", &["create", "delete"]),
    ("", "persistentvolumeclaims", &["get", "create"]),
    ("events.k8s.io", "events", &["create", "patch"]),
    ("", "namespaces", &["get"]),
];

/// Where MirrorJobs are, if movers get NetworkPolicies.
const NETWORK_POLICIES: Rule = (
    "networking.k8s.io",
    "networkpolicies",
    &["create", "delete"],
);

/// Outside namespaces, for placement.
const CLUSTER: [Rule; 4] = [
    ("", "nodes", &["get", "list"]),
    ("", "persistentvolumes", &["get"]),
    ("storage.k8s.io", "storageclasses", &["get"]),
    ("storage.k8s.io", "volumeattachments", &["list"]),
];

/// Returns the permissions that an operator with these settings needs; `own_namespace` is where it runs.
pub fn needed(settings: &Settings, own_namespace: &str) -> Vec<Permission> {
    let everywhere = settings.watch_namespaces.is_empty();
    let scopes: Vec<Option<String>> = if everywhere {
        vec![None]
    } else {
        settings
            .watch_namespaces
            .iter()
            .cloned()
            .map(Some)
            .collect()
    };
    let policies = settings.network_policy.enabled.then_some(NETWORK_POLICIES);
    let mut all = Vec::new();
    for scope in &scopes {
        for rule in NAMESPACED.into_iter().chain(policies) {
            add(&mut all, rule, scope.as_ref(), None);
        }
    }
    if settings.cluster_scoped {
        for rule in CLUSTER {
            add(&mut all, rule, None, None);
        }
    }
    let own = own_namespace.to_owned();
    let lease = &settings.leader_election.lease_name;
    let elected = settings.leader_election.enabled;
    let kept = [
        ("", "secrets", Some(SECRET_NAME)),
        (
            "coordination.k8s.io",
            "leases",
            elected.then_some(lease.as_str()),
        ),
    ];
    for (group, resource, name) in kept {
        if let Some(name) = name {
            add(&mut all, (group, resource, &["create"]), Some(&own), None);
            let rule = (group, resource, &["get", "update"] as &[&str]);
            add(&mut all, rule, Some(&own), Some(name));
        }
    }
    all.sort();
    all.dedup();
    all
}

fn add(
    all: &mut Vec<Permission>,
    (group, resource, verbs): Rule,
    namespace: Option<&String>,
    name: Option<&str>,
) {
    all.extend(verbs.iter().map(|verb| Permission {
        group,
        resource,
        verb,
        namespace: namespace.cloned(),
        name: name.map(str::to_owned),
    }));
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace}")?;
        }
        Ok(())
    }
}
