//! What the chart writes is what the operator reads.

use std::fs;
use std::path::{Path, PathBuf};

use blit_crds::mirrorjob::{Encryption, PodSecurity};
use blit_operator::metrics;
use blit_operator::settings::Settings;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/blit")
}

/// Returns the folder with what the chart makes of several sets of values; `scripts/check-chart` keeps it true.
fn rendered() -> PathBuf {
    chart().join("tests")
}

#[test]
fn every_configuration_of_the_chart_can_be_read() {
    let mut seen = 0;
    for entry in fs::read_dir(rendered()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("operator-") {
            continue;
        }
        seen += 1;
        if let Err(error) = Settings::load(&path) {
            panic!("{error}");
        }
    }
    assert!(seen > 2, "only {seen} configurations were found");
}

#[test]
fn the_chart_writes_every_value_to_its_place() {
    let settings = Settings::load(&rendered().join("operator-everything.golden.yaml")).unwrap();
    assert!(
        settings
            .image
            .starts_with("registry.example.com:5000/mirror/blit@sha256:")
    );
    assert_eq!(settings.image_pull_secrets, ["registry"]);
    assert!(settings.cluster_scoped);
    assert_eq!(settings.mover.priority_class_name, "batch");
    assert_eq!(
        (settings.mover.max_per_node, settings.mover.max_total),
        (8, 100_000)
    );
    assert!(settings.mover.resources.is_some());
    assert_eq!(settings.host_path.allow.len(), 2);
    assert!(settings.host_path.allow[0].special_files);
    assert_eq!(settings.pod_security.maximum, PodSecurity::Baseline);
    assert_eq!(settings.pod_security("ml", None), PodSecurity::Privileged);
    assert_eq!(settings.transport.minimum_encryption, Encryption::All);
    let ports = settings.ports;
    assert_eq!(
        (ports.control, ports.data, ports.metrics),
        (19031, 19032, 18080)
    );
    assert_eq!(settings.network_policy.extra_peers.len(), 2);
    assert_eq!(settings.leader_election.lease_name, "blit-elsewhere");

    let tenant = Settings::load(&rendered().join("operator-tenant.golden.yaml")).unwrap();
    assert_eq!(tenant.watch_namespaces, ["ml"]);
    assert!(!tenant.cluster_scoped);
    assert!(!tenant.leader_election.enabled);
    assert!(!tenant.network_policy.enabled);
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let known = metrics::reference();
    for file in ["alerts.yaml", "dashboards/blit.json"] {
        let text = fs::read_to_string(chart().join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let mut seen = 0;
        for word in words.filter(|word| word.starts_with("blit_")) {
            seen += 1;
            let name = word.trim_end_matches("_bucket");
            assert!(
                known.contains(&format!("| `{name}` |")),
                "{file} asks for {name}, which the operator does not have"
            );
        }
        assert!(seen > 4, "{file} asks for {seen} metrics only");
    }
}
