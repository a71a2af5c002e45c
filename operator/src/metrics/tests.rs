use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use blit_crds::MirrorJob;
use blit_crds::outcome::Reason;
use serde_json::{Value, json};

use super::descriptions::ALL;
use super::{Metrics, reference};

fn job(name: &str, uid: &str, status: Value) -> MirrorJob {
    serde_json::from_value(json!({
        "apiVersion": "blit.dev/v1alpha1", "kind": "MirrorJob",
        "metadata": {
            "name": name, "namespace": "ml", "uid": uid,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "operation": "Mirror",
            "source": {"persistentVolumeClaim": {"claimName": "raw"}},
            "destination": {"persistentVolumeClaim": {"claimName": "copy"}},
        },
        "status": status,
    }))
    .unwrap()
}

fn running(bytes: i64) -> Value {
    json!({
        "phase": "Running", "startTime": "2026-01-01T00:00:30Z",
        "lastProgressTime": "2026-01-01T00:01:00Z",
        "source": {"display": "pvc/raw:/"}, "destination": {"display": "pvc/copy:/"},
        "progress": {
            "filesDone": 3, "bytesDone": bytes, "bytesTotal": 1000, "filesDeleted": 1,
            "filesFailed": 2, "bytesPerSecond": 50, "scanComplete": true,
        },
        "transport": {
            "selected": "GRPC", "encryption": "ControlPlane",
            "tried": [{"kind": "TCP", "reason": "no answer on port 9032"}],
        },
        "attempts": [{"number": 1, "endTime": "2026-01-01T00:00:40Z", "reason": "Stalled"}],
        "attemptsTotal": 1,
    })
}

fn ended(phase: &str) -> Value {
    let mut status = running(1000);
    status["phase"] = json!(phase);
    status["completionTime"] = json!("2026-01-01T00:02:30Z");
    status["attempts"].as_array_mut().unwrap().push(json!({
        "number": 2, "endTime": "2026-01-01T00:02:30Z",
    }));
    if phase == "Failed" {
        status["failure"] = json!({"reason": "DestinationFull", "message": "full"});
    }
    status
}

/// Returns the value of a series, by its text up to the space.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.encode().unwrap();
    let line = text.lines().find(|line| {
        line.rsplit_once(' ')
            .is_some_and(|(name, _)| name == series)
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

const JOB: &str = r#"{namespace="ml",name="a"}"#;

fn of_job(metrics: &Metrics, metric: &str) -> Option<f64> {
    value(metrics, &format!("blit_mirrorjob_{metric}{JOB}"))
}

/// Metrics in which every one has a series.
fn all_set() -> Metrics {
    let metrics = Metrics::new();
    metrics.observe(&job("a", "1", running(10)));
    metrics.observe(&job("a", "1", ended("Complete")));
    metrics.observe(&job("b", "2", ended("Failed")));
    metrics.reconciled(Duration::from_millis(3));
    metrics.reconcile_failed("Kube");
    metrics.workqueue_depth(2);
    metrics.leader(true);
    metrics.refused(Reason::PermissionNotGranted);
    metrics.mover_started(Duration::from_secs(4));
    metrics
}

#[test]
fn the_series_of_a_job_say_what_its_status_says() {
    let metrics = Metrics::new();
    metrics.observe(&job("a", "1", running(400)));
    for (metric, expected) in [
        ("bytes_copied_total", 400.0),
        ("bytes_expected", 1000.0),
        ("files_copied_total", 3.0),
        ("files_deleted_total", 1.0),
        ("files_failed_total", 2.0),
        ("throughput_bytes_per_second", 50.0),
        ("last_progress_timestamp_seconds", 1_767_225_660.0),
        ("queued_seconds", 30.0),
    ] {
        assert_eq!(of_job(&metrics, metric), Some(expected), "{metric}");
    }
    for series in [
        r#"blit_mirrorjob_phase{namespace="ml",name="a",phase="Running"}"#,
        r#"blit_mirrorjob_info{namespace="ml",name="a",source="pvc/raw:/",destination="pvc/copy:/",transport="GRPC"}"#,
        r#"blit_mirrorjob_attempts_total{namespace="ml",name="a",reason="Stalled"}"#,
        r#"blit_mirrorjob_transport_fallback_total{namespace="ml",name="a",from="TCP",to="GRPC",reason="no answer on port 9032"}"#,
        r#"blit_mirrorjobs{phase="Running"}"#,
    ] {
        assert_eq!(value(&metrics, series), Some(1.0), "{series}");
    }
    assert_eq!(of_job(&metrics, "last_success_timestamp_seconds"), None);
}

#[test]
fn observing_the_same_status_again_changes_nothing() {
    let metrics = Metrics::new();
    metrics.observe(&job("a", "1", running(400)));
    let once = metrics.encode().unwrap();
    metrics.observe(&job("a", "1", running(400)));
    assert_eq!(metrics.encode().unwrap(), once);
}

#[test]
fn counters_advance_by_the_difference_and_go_on_with_a_new_attempt() {
    let metrics = Metrics::new();
    for bytes in [100, 250, 40, 60] {
        metrics.observe(&job("a", "1", running(bytes)));
    }
    assert_eq!(of_job(&metrics, "bytes_copied_total"), Some(310.0));
}

#[test]
fn a_job_that_ends_is_counted_once_with_its_duration() {
    let metrics = Metrics::new();
    metrics.observe(&job("a", "1", running(400)));
    for _ in 0..3 {
        metrics.observe(&job("a", "1", ended("Complete")));
    }
    let count = r#"blit_mirrorjob_duration_seconds_count{result="Complete",transport="GRPC"}"#;
    let sum = r#"blit_mirrorjob_duration_seconds_sum{result="Complete",transport="GRPC"}"#;
    assert_eq!(value(&metrics, count), Some(1.0));
    assert_eq!(value(&metrics, sum), Some(120.0));
    assert_eq!(
        value(&metrics, r#"blit_mirrorjobs{phase="Running"}"#),
        Some(0.0)
    );
    assert_eq!(
        value(&metrics, r#"blit_mirrorjobs{phase="Complete"}"#),
        Some(1.0)
    );
    assert_eq!(of_job(&metrics, "throughput_bytes_per_second"), Some(0.0));
    assert!(of_job(&metrics, "last_success_timestamp_seconds").is_some());
    let phases = metrics.encode().unwrap();
    assert_eq!(phases.matches("blit_mirrorjob_phase{").count(), 1);
}

#[test]
fn a_job_that_was_over_before_the_operator_started_has_no_duration_but_its_series() {
    let metrics = Metrics::new();
    metrics.observe(&job("a", "1", ended("Failed")));
    let text = metrics.encode().unwrap();
    assert!(!text.contains("duration_seconds_count{result"), "{text}");
    let failed = r#"blit_mirrorjob_failed{namespace="ml",name="a",reason="DestinationFull"}"#;
    assert_eq!(value(&metrics, failed), Some(1.0));
    let complete = r#"blit_mirrorjob_attempts_total{namespace="ml",name="a",reason="Completed"}"#;
    assert_eq!(value(&metrics, complete), Some(1.0));
}

#[test]
fn every_series_of_an_object_goes_with_it_and_one_of_the_same_name_begins_anew() {
    let metrics = all_set();
    metrics.observe(&job("a", "3", running(7)));
    assert_eq!(of_job(&metrics, "bytes_copied_total"), Some(7.0));
    assert_eq!(
        value(&metrics, r#"blit_mirrorjobs{phase="Complete"}"#),
        Some(0.0)
    );
    metrics.forget("ml", "a");
    metrics.forget("ml", "b");
    metrics.forget("ml", "unknown");
    let text = metrics.encode().unwrap();
    assert!(!text.contains("name=\""), "{text}");
    let still = text
        .lines()
        .filter(|line| line.starts_with("blit_mirrorjobs{"));
    assert!(still.clone().all(|line| line.ends_with(" 0")), "{text}");
    assert_eq!(still.count(), 9);
}

#[test]
fn every_metric_is_exposed_with_the_name_type_labels_and_help_of_the_reference() {
    let text = all_set().encode().unwrap();
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, inner) = series.split_once('{').unwrap_or((series, "}"));
        let names = inner.trim_end_matches('}').split("\",");
        let keys = names.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        labels.entry(name.to_owned()).or_default().extend(keys);
    }
    for metric in ALL {
        let kind = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
        assert!(text.contains(&kind), "{kind}");
        let help = format!("# HELP {} {}.\n", metric.name, metric.help);
        assert!(text.contains(&help), "{help}");
        let series = match metric.kind {
            super::descriptions::Kind::Histogram => format!("{}_count", metric.name),
            _ => metric.exposed(),
        };
        let expected: BTreeSet<String> = metric.labels.iter().map(ToString::to_string).collect();
        assert_eq!(labels.get(&series), Some(&expected), "{series}");
    }
    assert_eq!(text.matches("# TYPE ").count(), ALL.len());
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_reference_is_committed_as_it_would_be_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == reference(),
        "docs/reference/metrics.md is out of date; its first line says how to write it"
    );
}
