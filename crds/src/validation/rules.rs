//! The CEL rules of `mirrorjob/rules.rs`, in Rust. A rule here and its twin there say the same.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::finding::Finding;
use crate::mirrorjob::{
    Destination, Filter, MirrorJob, MirrorJobSpec, Operation, PodSecurity, Side, Source,
    TransportKind,
};
use crate::quantity;

/// Longest name of a job: it becomes the value of a label.
const MAX_NAME: usize = 63;

const PATH_REMEDY: &str = "write an absolute path without `..`, `.` or empty components";
const QUANTITY_REMEDY: &str = "write a positive quantity such as 100Mi";
const PRIVILEGED_REMEDY: &str = "set spec.mover.podSecurity to Privileged";
const DISJOINT_REMEDY: &str = "choose paths that do not contain each other";

/// Returns every rule that a job breaks.
pub(super) fn broken(job: &MirrorJob) -> Vec<Finding> {
    let mut findings = Vec::new();
    name(job, &mut findings);
    source(&job.spec, &mut findings);
    destination(&job.spec, &mut findings);
    disjoint(&job.spec, &mut findings);
    deletion(&job.spec, &mut findings);
    privileges(&job.spec, &mut findings);
    filters(&job.spec, &mut findings);
    if let Some(limit) = &job.spec.bandwidth_limit {
        positive("spec.bandwidthLimit", limit, &mut findings);
    }
    findings
}

fn name(job: &MirrorJob, findings: &mut Vec<Finding>) {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() || name.len() > MAX_NAME || !is_subdomain(name) {
        findings.push(Finding::new(
            "metadata.name",
            format!("`{name}` is not a name for a MirrorJob"),
            format!("write at most {MAX_NAME} lower-case letters, digits, `-` and `.`"),
        ));
    }
}

fn source(spec: &MirrorJobSpec, findings: &mut Vec<Finding>) {
    match &spec.source {
        Source::PersistentVolumeClaim(claim) => {
            subdomain(
                "spec.source.persistentVolumeClaim.claimName",
                &claim.claim_name,
                findings,
            );
            path(
                "spec.source.persistentVolumeClaim.path",
                &claim.path,
                findings,
            );
        }
        Source::HostPath(host) => {
            subdomain("spec.source.hostPath.nodeName", &host.node_name, findings);
            path("spec.source.hostPath.path", &host.path, findings);
        }
    }
}

fn destination(spec: &MirrorJobSpec, findings: &mut Vec<Finding>) {
    match &spec.destination {
        Destination::PersistentVolumeClaim(claim) => {
            let field = "spec.destination.persistentVolumeClaim";
            subdomain(&format!("{field}.claimName"), &claim.claim_name, findings);
            path(&format!("{field}.path"), &claim.path, findings);
            if let Some(template) = &claim.template {
                positive(
                    &format!("{field}.template.storage"),
                    &template.storage,
                    findings,
                );
            }
        }
        Destination::HostPath(host) => {
            subdomain(
                "spec.destination.hostPath.nodeName",
                &host.node_name,
                findings,
            );
            path("spec.destination.hostPath.path", &host.path, findings);
        }
        Destination::Nodes(nodes) => path("spec.destination.nodes.path", &nodes.path, findings),
    }
}

/// One tree inside the other would copy itself, or delete what it copies from.
fn disjoint(spec: &MirrorJobSpec, findings: &mut Vec<Finding>) {
    let (place, field) = match (&spec.source, &spec.destination) {
        (Source::PersistentVolumeClaim(from), Destination::PersistentVolumeClaim(to))
            if from.claim_name == to.claim_name =>
        {
            (
                format!("the claim `{}`", to.claim_name),
                "spec.destination.persistentVolumeClaim.path",
            )
        }
        (Source::HostPath(from), Destination::HostPath(to)) if from.node_name == to.node_name => (
            format!("the node `{}`", to.node_name),
            "spec.destination.hostPath.path",
        ),
        _ => return,
    };
    let (from, to) = (spec.source.path(), spec.destination.path());
    if contains(from, to) || contains(to, from) {
        findings.push(Finding::new(
            field,
            format!("`{to}` overlaps the source `{from}`, and both are on {place}"),
            DISJOINT_REMEDY,
        ));
    }
}

fn deletion(spec: &MirrorJobSpec, findings: &mut Vec<Finding>) {
    if let Err(error) = spec.deletion.limit() {
        findings.push(Finding::new(
            "spec.deletion.maxDelete",
            error.to_string(),
            "write a count without quotes (1000) or a share in quotes (\"10%\")",
        ));
    }
    let asked = spec.deletion.max_delete.is_some() || spec.deletion.allow_empty_source;
    if spec.operation == Operation::Copy && asked {
        findings.push(Finding::new(
            "spec.deletion",
            "has no meaning with operation Copy, which deletes nothing",
            "remove it or use operation Mirror",
        ));
    }
}

fn filters(spec: &MirrorJobSpec, findings: &mut Vec<Finding>) {
    for (n, filter) in spec.filters.iter().enumerate() {
        let (Filter::Exclude(pattern) | Filter::Include(pattern)) = filter;
        if pattern.contains('\0') {
            findings.push(Finding::new(
                format!("spec.filters[{n}]"),
                "holds a NUL character, which no name can",
                "remove it",
            ));
        }
    }
}

fn privileges(spec: &MirrorJobSpec, findings: &mut Vec<Finding>) {
    let privileged = |side| spec.mover.pod_security(side) == PodSecurity::Privileged;
    if matches!(spec.source, Source::HostPath(_)) && !privileged(Side::Source) {
        findings.push(Finding::new(
            "spec.source.hostPath",
            "needs a privileged source mover",
            PRIVILEGED_REMEDY,
        ));
    }
    let on_nodes = match spec.destination {
        Destination::PersistentVolumeClaim(_) => None,
        Destination::HostPath(_) => Some("spec.destination.hostPath"),
        Destination::Nodes(_) => Some("spec.destination.nodes"),
    };
    if let Some(field) = on_nodes
        && !privileged(Side::Destination)
    {
        findings.push(Finding::new(
            field,
            "needs a privileged destination mover",
            PRIVILEGED_REMEDY,
        ));
    }
    let rdma = spec.transport.kind == TransportKind::Rdma;
    if rdma && !(privileged(Side::Source) && privileged(Side::Destination)) {
        findings.push(Finding::new(
            "spec.transport.kind",
            "RDMA needs privileged movers on both sides",
            PRIVILEGED_REMEDY,
        ));
    }
}

fn path(field: &str, path: &str, findings: &mut Vec<Finding>) {
    let plain = path.starts_with('/')
        && !path.contains("//")
        && !path.contains('\0')
        && !path
            .split('/')
            .any(|component| component == "." || component == "..");
    if !plain {
        findings.push(Finding::new(
            field,
            format!("`{}` is not a plain absolute path", path.escape_debug()),
            PATH_REMEDY,
        ));
    }
}

fn subdomain(field: &str, name: &str, findings: &mut Vec<Finding>) {
    if !is_subdomain(name) {
        findings.push(Finding::new(
            field,
            format!("`{}` is not a name", name.escape_debug()),
            "write lower-case letters, digits, `-` and `.`, as the name of the object is",
        ));
    }
}

fn positive(field: &str, value: &Quantity, findings: &mut Vec<Finding>) {
    if !quantity::is_positive(value) {
        findings.push(Finding::new(
            field,
            format!("`{}` is not a positive quantity", value.0),
            QUANTITY_REMEDY,
        ));
    }
}

/// Returns true if `inner` is `outer` or below it. Both are plain absolute paths.
fn contains(outer: &str, inner: &str) -> bool {
    let slashed = |path: &str| format!("{}/", path.trim_end_matches('/'));
    slashed(inner).starts_with(&slashed(outer))
}

/// Returns true for a DNS subdomain.
fn is_subdomain(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            bytes.first().is_some_and(|byte| alphanumeric(*byte))
                && bytes.last().is_some_and(|byte| alphanumeric(*byte))
                && bytes
                    .iter()
                    .all(|byte| alphanumeric(*byte) || *byte == b'-')
        })
}
