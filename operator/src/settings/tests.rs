use std::collections::BTreeMap;
use std::path::Path;

use blit_crds::mirrorjob::{Encryption, PodSecurity};

use super::{Access, Settings};

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(Path::new("operator.yaml"), text).map_err(|error| error.to_string())
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_image_alone_is_a_configuration_with_the_documented_defaults() {
    let settings = parse("image: example.org/blit@sha256:00\n").unwrap();
    assert!(settings.cluster_scoped && settings.watch_namespaces.is_empty());
    assert_eq!(settings.mover.max_per_node, 4);
    assert_eq!(settings.mover.max_total, 0);
    assert_eq!(
        settings.transport.minimum_encryption,
        Encryption::ControlPlane
    );
    let ports = settings.ports;
    assert_eq!(
        (ports.control, ports.data, ports.metrics),
        (9031, 9032, 8080)
    );
    assert!(settings.network_policy.enabled && settings.leader_election.enabled);
    assert_eq!(settings.leader_election.lease_name, "blit-operator");
    assert!(settings.host_paths("ml", &BTreeMap::new()).is_empty());
}

#[test]
fn every_field_of_the_file_is_read() {
    let settings = parse(
        "image: example.org/blit@sha256:00
imagePullSecrets: [pull]
watchNamespaces: [a, b]
clusterScoped: false
mover: {resources: {requests: {cpu: 1}}, priorityClassName: low, maxPerNode: 2, maxTotal: 8}
hostPath:
  allow:
    - {prefix: /data, namespaces: [ml], nodeSelector: {gpu: 'yes'}, access: ReadWrite, specialFiles: true}
podSecurity: {maximum: Baseline, namespaces: {ml: Privileged}}
transport: {minimumEncryption: All}
ports: {control: 1, data: 2, metrics: 3}
networkPolicy:
  enabled: false
  extraPeers: [{namespaceSelector: {matchLabels: {team: monitoring}}}]
leaderElection: {enabled: false, leaseName: x}
",
    )
    .unwrap();
    assert_eq!(settings.image_pull_secrets, ["pull"]);
    assert_eq!(settings.watch_namespaces, ["a", "b"]);
    assert!(!settings.cluster_scoped);
    let requests = settings.mover.resources.unwrap().requests.unwrap();
    assert_eq!(requests["cpu"].0, "1");
    assert_eq!(settings.mover.priority_class_name, "low");
    assert_eq!(settings.host_path.allow[0].prefix.as_str(), "/data");
    assert_eq!(settings.network_policy.extra_peers.len(), 1);
    assert!(!settings.leader_election.enabled);
}

#[test]
fn an_unknown_field_a_wrong_word_and_a_wrong_prefix_are_refused_with_their_line() {
    for (text, line, word) in [
        ("image: a\nmover:\n  maxPerNod: 3\n", 3, "maxPerNod"),
        ("image: a\n\npodSecurity:\n  maximum: Root\n", 4, "Root"),
        (
            "image: a\nhostPath:\n  allow:\n    - prefix: /data/../etc\n",
            4,
            "/data/../etc",
        ),
        ("image: a\nports:\n  control: 0\n", 3, "port"),
        ("image: ''\n", 1, "empty"),
        ("image: a\nmover: [\n", 2, ""),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(&format!("line {line}: ")), "{error}");
        assert!(
            error.contains(word) && error.contains("operator.yaml"),
            "{error}"
        );
    }
    assert!(
        parse("watchNamespaces: []\n")
            .unwrap_err()
            .contains("image")
    );
    let error = parse("image: a\nports: {control: 5, data: 5}\n").unwrap_err();
    assert!(error.contains("ports.data"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_remedy() {
    let error = Settings::load(Path::new("/nowhere/operator.yaml")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("/nowhere/operator.yaml") && text.contains("--config"),
        "{text}"
    );
}

#[test]
fn the_level_of_a_namespace_is_its_annotation_within_the_maximum_unless_the_settings_name_it() {
    use PodSecurity::{Baseline, Privileged, Restricted};
    let settings =
        parse("image: a\npodSecurity: {maximum: Baseline, namespaces: {ml: Privileged, web: Restricted}}\n")
            .unwrap();
    for (namespace, annotation, level) in [
        ("ml", None, Privileged),
        ("ml", Some("Restricted"), Privileged),
        ("web", Some("Baseline"), Restricted),
        ("other", None, Restricted),
        ("other", Some("baseline"), Baseline),
        ("other", Some("Privileged"), Baseline),
        ("other", Some("root please"), Restricted),
    ] {
        let found = settings.pod_security(namespace, annotation);
        assert_eq!(found, level, "{namespace} {annotation:?}");
    }
}

#[test]
fn a_directory_is_allowed_only_to_the_namespaces_and_on_the_nodes_that_a_rule_names() {
    let settings = parse(
        "image: a
hostPath:
  allow:
    - {prefix: /data, namespaces: [ml], nodeSelector: {gpu: 'yes'}, access: ReadWrite, specialFiles: true}
    - {prefix: /scratch}
",
    )
    .unwrap();
    let gpu = labels(&[("gpu", "yes"), ("zone", "a")]);
    let names = |namespace: &str, node: &BTreeMap<String, String>| -> Vec<String> {
        let found = settings.host_paths(namespace, node).into_iter();
        found.map(|allowed| allowed.prefix.to_string()).collect()
    };
    assert_eq!(names("ml", &gpu), ["/data", "/scratch"]);
    assert_eq!(names("web", &gpu), ["/scratch"]);
    assert_eq!(names("ml", &labels(&[("gpu", "no")])), ["/scratch"]);
    let first = &settings.host_paths("ml", &gpu)[0];
    assert!(first.access == Access::ReadWrite && first.special_files);
    assert_eq!(settings.host_paths("web", &gpu)[0].access, Access::ReadOnly);
}

#[test]
fn a_path_is_below_a_prefix_by_components_not_by_letters() {
    let settings =
        parse("image: a\nhostPath: {allow: [{prefix: /data/sets}, {prefix: /}]}\n").unwrap();
    let prefix = &settings.host_path.allow[0].prefix;
    assert_eq!(prefix.rest_of("/data/sets"), Some("/"));
    assert_eq!(prefix.rest_of("/data/sets/a/b"), Some("/a/b"));
    assert_eq!(prefix.rest_of("/data/settings"), None);
    assert_eq!(prefix.rest_of("/data"), None);
    assert_eq!(
        settings.host_path.allow[1].prefix.rest_of("/etc"),
        Some("/etc")
    );
}

#[test]
fn the_settings_can_raise_the_encryption_of_a_job_but_never_lower_it() {
    let plain = parse("image: a\n").unwrap();
    let strict = parse("image: a\ntransport: {minimumEncryption: All}\n").unwrap();
    assert_eq!(
        plain.encryption(Encryption::ControlPlane),
        Encryption::ControlPlane
    );
    assert_eq!(plain.encryption(Encryption::All), Encryption::All);
    assert_eq!(strict.encryption(Encryption::ControlPlane), Encryption::All);
}
