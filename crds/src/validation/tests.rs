use super::*;
use crate::parse_manifest;

const CLAIM: &str = "persistentVolumeClaim: {claimName: raw}";

/// A job with this source, this destination and these further lines of the spec.
fn job(operation: &str, source: &str, destination: &str, further: &str) -> MirrorJob {
    parse_manifest(&format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {{name: a}}\nspec:\n  \
         operation: {operation}\n  source: {{{source}}}\n  destination: {{{destination}}}\n{further}\n"
    ))
    .unwrap()
}

/// The fields at fault.
fn faults(job: &MirrorJob) -> Vec<String> {
    validate(job)
        .into_iter()
        .map(|finding| finding.field)
        .collect()
}

fn with(further: &str) -> MirrorJob {
    job(
        "Mirror",
        CLAIM,
        "persistentVolumeClaim: {claimName: copy}",
        &format!("  {further}"),
    )
}

#[test]
fn a_plain_mirror_has_no_fault() {
    assert_eq!(validate(&with("suspend: false")), []);
}

#[test]
fn a_path_is_plain_and_absolute() {
    let fault = |path: &str| {
        let source = format!("persistentVolumeClaim: {{claimName: raw, path: {path:?}}}");
        let destination = "persistentVolumeClaim: {claimName: copy}";
        !validate(&job("Mirror", &source, destination, "")).is_empty()
    };
    for path in ["/", "/a", "/a/", "/a..b/.c/..d", "/ä b"] {
        assert!(!fault(path), "{path} is refused");
    }
    for path in [
        "a", "./a", "/..", "/a/../b", "/a/..", "/a/./b", "//", "/a//b", "/a\0b",
    ] {
        assert!(fault(path), "{path} is accepted");
    }
}

#[test]
fn names_are_dns_subdomains() {
    let fault = |name: &str| {
        let source = format!("persistentVolumeClaim: {{claimName: {name:?}}}");
        faults(&job(
            "Copy",
            &source,
            "persistentVolumeClaim: {claimName: copy}",
            "",
        ))
    };
    for name in ["a", "a-b.c", "0"] {
        assert!(fault(name).is_empty(), "{name} is refused");
    }
    for name in ["A", "-a", "a-", "a..b", ".a", "a_b", "a/b"] {
        assert_eq!(
            fault(name),
            ["spec.source.persistentVolumeClaim.claimName"],
            "{name}"
        );
    }
}

#[test]
fn the_name_of_a_job_fits_a_label() {
    let mut job = with("suspend: false");
    job.metadata.name = Some("a".repeat(63));
    assert_eq!(validate(&job), []);
    job.metadata.name = Some("a".repeat(64));
    assert_eq!(faults(&job), ["metadata.name"]);
}

#[test]
fn one_claim_needs_disjoint_paths() {
    let fault = |from: &str, to: &str| {
        let source = format!("persistentVolumeClaim: {{claimName: raw, path: {from}}}");
        let destination = format!("persistentVolumeClaim: {{claimName: raw, path: {to}}}");
        faults(&job("Mirror", &source, &destination, ""))
    };
    for (from, to) in [
        ("/", "/a"),
        ("/a", "/"),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a", "/a/b/"),
    ] {
        assert_eq!(
            fault(from, to),
            ["spec.destination.persistentVolumeClaim.path"],
            "{from} {to}"
        );
    }
    for (from, to) in [("/a", "/b"), ("/a", "/ab"), ("/a/b", "/a/c")] {
        assert!(fault(from, to).is_empty(), "{from} {to}");
    }
}

#[test]
fn one_node_needs_disjoint_paths() {
    let fault = |node: &str, to: &str| {
        let destination = format!("hostPath: {{nodeName: {node}, path: {to}}}");
        let mover = "  mover: {podSecurity: Privileged}";
        faults(&job(
            "Mirror",
            "hostPath: {nodeName: n1, path: /a}",
            &destination,
            mover,
        ))
    };
    assert_eq!(fault("n1", "/a/b"), ["spec.destination.hostPath.path"]);
    assert!(fault("n2", "/a/b").is_empty());
    assert!(fault("n1", "/b").is_empty());
}

#[test]
fn a_limit_on_deletions_is_a_count_or_a_share() {
    for limit in ["0", "1000", "2147483647", "0%", "10%", "'100%'"] {
        let job = with(&format!("deletion: {{maxDelete: {limit}}}"));
        assert_eq!(validate(&job), [], "{limit}");
    }
    for limit in ["-1", "'1000'", "101%", "1.5%", "010%", "'%'", "all", "''"] {
        let job = with(&format!("deletion: {{maxDelete: {limit}}}"));
        assert_eq!(faults(&job), ["spec.deletion.maxDelete"], "{limit}");
    }
}

#[test]
fn only_a_mirror_has_limits_on_deletions() {
    let copy = |deletion: &str| {
        let destination = "persistentVolumeClaim: {claimName: copy}";
        faults(&job(
            "Copy",
            CLAIM,
            destination,
            &format!("  deletion: {deletion}"),
        ))
    };
    assert_eq!(copy("{maxDelete: 5}"), ["spec.deletion"]);
    assert_eq!(copy("{allowEmptySource: true}"), ["spec.deletion"]);
    assert!(copy("{allowEmptySource: false}").is_empty());
}

#[test]
fn a_host_path_needs_a_privileged_mover_on_its_side() {
    let fault = |mover: &str| {
        let source = "hostPath: {nodeName: n1, path: /a}";
        let destination = "hostPath: {nodeName: n2, path: /a}";
        faults(&job(
            "Copy",
            source,
            destination,
            &format!("  mover: {mover}"),
        ))
    };
    assert_eq!(
        fault("{}"),
        ["spec.source.hostPath", "spec.destination.hostPath"]
    );
    assert_eq!(
        fault("{source: {podSecurity: Privileged}}"),
        ["spec.destination.hostPath"]
    );
    assert_eq!(
        fault("{podSecurity: Privileged, source: {podSecurity: Baseline}}"),
        ["spec.source.hostPath"]
    );
    assert!(fault("{podSecurity: Privileged}").is_empty());
}

#[test]
fn a_pattern_that_no_argument_can_hold_is_refused() {
    let findings = validate(&with("filters: [{exclude: \"a\\0b\"}]"));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].field, "spec.filters[0]");
    assert!(validate(&with("filters: [{include: a}, {exclude: '*'}]")).is_empty());
}

#[test]
fn what_has_no_data_path_yet_is_refused_and_says_so() {
    let (line, field) = ("bandwidthLimit: 100Mi", "spec.bandwidthLimit");
    let findings = validate(&with(line));
    assert_eq!(findings.len(), 1, "{line}: {findings:?}");
    assert_eq!(findings[0].field, field);
    assert!(
        findings[0]
            .message
            .ends_with("is not supported by this version of blit"),
        "{}",
        findings[0]
    );
    let rdma = with("transport: {kind: RDMA}\n  mover: {podSecurity: Privileged}");
    assert_eq!(faults(&rdma), ["spec.transport.kind"]);
    let nodes = job(
        "Copy",
        CLAIM,
        "nodes: {selector: {matchLabels: {gpu: a}}, path: /data}",
        "  mover: {podSecurity: Privileged}",
    );
    assert_eq!(faults(&nodes), ["spec.destination.nodes"]);
}

#[test]
fn rdma_needs_privileged_movers() {
    let rdma = with("transport: {kind: RDMA}");
    assert_eq!(
        faults(&rdma),
        ["spec.transport.kind", "spec.transport.kind"]
    );
}

#[test]
fn a_bandwidth_that_is_no_quantity_is_refused_as_such() {
    for limit in ["fast", "0", "-1Mi", "'100MB'"] {
        let findings = validate(&with(&format!("bandwidthLimit: {limit}")));
        assert!(
            findings[0].message.ends_with("is not a positive quantity"),
            "{limit}"
        );
    }
}
