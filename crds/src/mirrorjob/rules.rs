//! The CEL rules of the schema, each with the message its violator reads.
//!
//! [`crate::validation`] says the same in Rust for runs without an API server. Whoever changes one
//! side changes the other.

use kube::core::Rule;

/// Forbids changing a field of `spec` after creation. The rule stands on `spec` because a rule on an
/// optional field does not run when the field is added or removed.
pub(super) fn immutable(field: &str) -> Rule {
    Rule::new(format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    ))
    .message(format!("spec.{field} cannot be changed: make a new MirrorJob").as_str())
    .field_path(format!(".{field}"))
}

/// The source names one kind of place.
pub(super) fn one_source() -> Rule {
    Rule::new("[has(self.persistentVolumeClaim), has(self.hostPath)].exists_one(x, x)")
        .message("source takes exactly one of persistentVolumeClaim and hostPath")
}

/// The destination names one kind of place.
pub(super) fn one_destination() -> Rule {
    Rule::new(
        "[has(self.persistentVolumeClaim), has(self.hostPath), has(self.nodes)].exists_one(x, x)",
    )
    .message("destination takes exactly one of persistentVolumeClaim, hostPath and nodes")
}

/// A filter either excludes or includes.
pub(super) fn one_filter() -> Rule {
    Rule::new("self.all(f, [has(f.exclude), has(f.include)].exists_one(x, x))")
        .message("every filter takes exactly one of exclude and include")
}

/// A path is absolute and in its plain form, so that comparing two of them is comparing text.
pub(super) fn absolute_path() -> Rule {
    Rule::new(
        r"self.startsWith('/') && !self.contains('//') && !self.contains('\u0000') && !self.matches('(^|/)[.][.]?(/|$)')",
    )
    .message("path must be absolute, without `..`, `.`, empty components or NUL")
}

/// Name of a claim or a node: a DNS subdomain.
pub(super) fn subdomain() -> Rule {
    Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("must be a DNS subdomain: lower-case letters, digits, `-` and `.`")
}

/// The largest number of deletions is a count or a share.
pub(super) fn max_delete() -> Rule {
    Rule::new(
        "type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[1-9]?[0-9])%$')",
    )
    .message("maxDelete must be a count such as 1000 or a share such as \"10%\" (0% to 100%)")
}

/// A bandwidth is a positive quantity.
pub(super) fn positive_quantity() -> Rule {
    Rule::new(
        "type(self) == int ? self > 0 : isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
    )
    .message("must be a positive quantity such as 100Mi")
}

/// Only a mirror deletes.
pub(super) fn deletion_only_with_mirror() -> Rule {
    Rule::new(
        "self.operation == 'Mirror' || (!has(self.deletion.maxDelete) && !self.deletion.allowEmptySource)",
    )
    .message("deletion has a meaning only with operation Mirror: a Copy deletes nothing")
    .field_path(".deletion")
}

/// Source and destination on one claim must not contain each other.
pub(super) fn disjoint_claim_paths() -> Rule {
    disjoint("persistentVolumeClaim", "claimName")
        .message(
            "source and destination are the same claim: their paths must not contain each other",
        )
        .field_path(".destination.persistentVolumeClaim")
}

/// Source and destination on one node must not contain each other.
pub(super) fn disjoint_host_paths() -> Rule {
    disjoint("hostPath", "nodeName")
        .message(
            "source and destination are on the same node: their paths must not contain each other",
        )
        .field_path(".destination.hostPath")
}

/// A hostPath as source needs a privileged source mover.
pub(super) fn source_host_path_privileged() -> Rule {
    Rule::new(format!(
        "!has(self.source.hostPath) || {} == 'Privileged'",
        level("source")
    ))
    .message("a hostPath source needs mover.podSecurity Privileged")
    .field_path(".source.hostPath")
}

/// A hostPath as destination needs a privileged destination mover.
pub(super) fn destination_host_path_privileged() -> Rule {
    Rule::new(format!(
        "!(has(self.destination.hostPath) || has(self.destination.nodes)) || {} == 'Privileged'",
        level("destination")
    ))
    .message("a hostPath or nodes destination needs mover.podSecurity Privileged")
    .field_path(".destination")
}

/// RDMA uses the network of the host on both sides.
pub(super) fn rdma_privileged() -> Rule {
    Rule::new(format!(
        "self.transport.kind != 'RDMA' || ({} == 'Privileged' && {} == 'Privileged')",
        level("source"),
        level("destination")
    ))
    .message("transport.kind RDMA needs mover.podSecurity Privileged on both sides")
    .field_path(".transport.kind")
}

/// Pods, Secrets and labels carry the name of the job, and a label value has 63 characters.
pub(super) fn job_name() -> Rule {
    Rule::new("size(self.metadata.name) <= 63")
        .message("the name of a MirrorJob has at most 63 characters")
}

/// CEL for the pod security level of one side: its own, else that of both.
fn level(side: &str) -> String {
    format!(
        "(has(self.mover.{side}) && has(self.mover.{side}.podSecurity) ? self.mover.{side}.podSecurity : self.mover.podSecurity)"
    )
}

/// CEL for "both sides are this kind of place, at the same name, and one path contains the other".
fn disjoint(place: &str, name: &str) -> Rule {
    let source = format!("self.source.{place}");
    let destination = format!("self.destination.{place}");
    let slashed =
        |path: &str| format!("({path}.path.endsWith('/') ? {path}.path : {path}.path + '/')");
    let (from, to) = (slashed(&source), slashed(&destination));
    Rule::new(format!(
        "!has({source}) || !has({destination}) || {source}.{name} != {destination}.{name} || !({from}.startsWith({to}) || {to}.startsWith({from}))"
    ))
}
