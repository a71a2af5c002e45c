//! Every figure that the operator serves, compared with what was done.

use std::collections::BTreeSet;

use crate::common::{Transfer, USER, mirror};
use blit_e2e::cluster::{Metrics, Namespace, Node, Status, many, with_temp_ns};

/// Metrics that are exposed only once there was something to count.
const RARE: [&str; 5] = [
    "blit_mirrorjob_transport_fallback",
    "blit_mirrorjob_failed",
    "blit_mirrorjob_attempts",
    "blit_refusals",
    "blit_operator_reconcile_errors",
];

/// Every metric of the contract, as it is exposed.
const ALL: [(&str, &str); 23] = [
    ("blit_mirrorjob_phase", "gauge"),
    ("blit_mirrorjob_bytes_copied", "counter"),
    ("blit_mirrorjob_bytes_expected", "gauge"),
    ("blit_mirrorjob_files_copied", "counter"),
    ("blit_mirrorjob_files_deleted", "counter"),
    ("blit_mirrorjob_files_failed", "counter"),
    ("blit_mirrorjob_throughput_bytes_per_second", "gauge"),
    ("blit_mirrorjob_last_progress_timestamp_seconds", "gauge"),
    ("blit_mirrorjob_last_success_timestamp_seconds", "gauge"),
    ("blit_mirrorjob_failed", "gauge"),
    ("blit_mirrorjob_info", "gauge"),
    ("blit_mirrorjob_attempts", "counter"),
    ("blit_mirrorjob_transport_fallback", "counter"),
    ("blit_mirrorjob_queued_seconds", "gauge"),
    ("blit_mirrorjob_duration_seconds", "histogram"),
    ("blit_mirrorjobs", "gauge"),
    ("blit_refusals", "counter"),
    ("blit_mover_startup_seconds", "histogram"),
    ("blit_operator_reconcile_duration_seconds", "histogram"),
    ("blit_operator_reconcile_errors", "counter"),
    ("blit_operator_workqueue_depth", "gauge"),
    ("blit_build_info", "gauge"),
    ("blit_leader", "gauge"),
];

#[test]
fn the_figures_of_a_job_are_those_of_its_run() {
    with_temp_ns("metrics-run", async |ns| {
        let operator = ns.cluster.operator();
        let before = operator.metrics().await?;
        let mut transfer = Transfer::start(&ns, "deletion: {maxDelete: \"100%\"}\n").await?;
        std::fs::write(transfer.to.path.join("extraneous"), "x").unwrap();
        let job = Series::of(&ns, "copy");
        operator
            .until_metrics("a running job with a speed", |metrics| {
                job.phase(metrics) == ["Running"]
                    && job.value(metrics, "throughput_bytes_per_second") > Some(0.0)
                    && job.value(metrics, "bytes_copied_total") > Some(0.0)
            })
            .await?;
        transfer.speed_up();
        let status = transfer.job.complete().await?;
        let after = operator
            .until_metrics("a complete job", |metrics| {
                job.phase(metrics) == ["Complete"]
            })
            .await?;
        let bytes = transfer.bytes() as f64;
        let value = |name: &str| job.value(&after, name);
        assert_eq!(value("bytes_copied_total"), Some(bytes));
        assert_eq!(value("bytes_expected"), Some(bytes));
        assert_eq!(
            value("files_copied_total"),
            Some(status.progress("filesTotal") as f64)
        );
        assert_eq!(
            value("files_deleted_total"),
            Some(status.progress("filesDeleted") as f64)
        );
        assert_eq!(value("files_failed_total"), Some(0.0));
        assert_eq!(value("throughput_bytes_per_second"), Some(0.0));
        assert_eq!(value("attempts_total"), Some(1.0));
        assert_eq!(value("failed"), None);
        close(
            value("last_success_timestamp_seconds"),
            &status,
            "completionTime",
        );
        close(
            value("last_progress_timestamp_seconds"),
            &status,
            "lastProgressTime",
        );
        assert!(value("queued_seconds").is_some_and(|waited| (0.0..120.0).contains(&waited)));
        let info = &after.find("blit_mirrorjob_info", &job.labels())[0].labels;
        assert_eq!(info["source"], "pvc/from:/");
        assert_eq!(info["destination"], "pvc/to:/");
        assert_eq!(info["transport"], "TCP");
        let grows = |name: &str, labels: &[(&str, &str)]| {
            after.sum(name, labels) > before.sum(name, labels)
        };
        let ended = [("result", "Complete"), ("transport", "TCP")];
        assert!(grows("blit_mirrorjob_duration_seconds_count", &ended));
        assert!(grows("blit_mover_startup_seconds_count", &[]));
        assert!(grows("blit_operator_reconcile_duration_seconds_count", &[]));
        assert!(after.sum("blit_mirrorjobs", &[("phase", "Complete")]) >= 1.0);
        transfer.job.delete().await?;
        operator
            .until_metrics("no series of the job", |metrics| {
                metrics.of_object(&ns.name, "copy").is_empty()
            })
            .await?;
        Ok(())
    });
}

#[test]
fn failures_and_refusals_are_counted_by_reason() {
    with_temp_ns("metrics-failures", async |ns| {
        let operator = ns.cluster.operator();
        let before = operator.metrics().await?;
        ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        ns.job("empty", &mirror("from", "to"))
            .await?
            .failed("SourceEmpty")
            .await?;
        let invalid = mirror("from", "to") + "bandwidthLimit: 1Mi\n";
        ns.job("invalid", &invalid).await?.failed("Invalid").await?;
        let empty = Series::of(&ns, "empty");
        let after = operator
            .until_metrics("both failures", |metrics| {
                empty.phase(metrics) == ["Failed"]
                    && Series::of(&ns, "invalid").phase(metrics) == ["Failed"]
            })
            .await?;
        let mut failed = empty.labels().to_vec();
        failed.push(("reason", "SourceEmpty"));
        assert_eq!(after.value("blit_mirrorjob_failed", &failed), Some(1.0));
        assert_eq!(
            after.value("blit_mirrorjob_attempts_total", &failed),
            Some(1.0)
        );
        let invalid = [("reason", "Invalid")];
        assert!(
            after.sum("blit_refusals_total", &invalid)
                > before.sum("blit_refusals_total", &invalid)
        );
        assert_eq!(empty.value(&after, "last_success_timestamp_seconds"), None);
        Ok(())
    });
}

#[test]
fn every_metric_is_exposed_with_its_type_and_one_replica_leads() {
    with_temp_ns("metrics-all", async |ns| {
        let operator = ns.cluster.operator();
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::A).create().await?;
        many(&from.path, 5, 10, USER)?;
        ns.job("copy", &mirror("from", "to"))
            .await?
            .complete()
            .await?;
        let leader = operator.metrics().await?;
        let exposed = types(&leader);
        let unknown: Vec<_> = exposed
            .iter()
            .filter(|metric| !ALL.contains(metric))
            .collect();
        assert!(unknown.is_empty(), "not in the contract: {unknown:?}");
        let missing = ALL.iter().filter(|metric| !exposed.contains(*metric));
        let missing: Vec<_> = missing.filter(|(name, _)| !RARE.contains(name)).collect();
        assert!(missing.is_empty(), "not exposed: {missing:?}");
        let mut leaders = 0.0;
        for pod in operator.pods().await? {
            let metrics = operator.metrics_of(&pod).await?;
            assert!(metrics.text.ends_with("# EOF\n"));
            assert_eq!(metrics.sum("blit_build_info", &[]), 1.0);
            assert!(
                metrics
                    .value("blit_operator_workqueue_depth", &[])
                    .is_some()
            );
            leaders += metrics.sum("blit_leader", &[]);
            let address = pod.status.and_then(|status| status.pod_ip).unwrap();
            for path in ["/healthz", "/readyz"] {
                Metrics::scrape(&address, 8080, path).await?;
            }
        }
        assert_eq!(leaders, 1.0);
        Ok(())
    });
}

/// The metrics of a scrape with their types.
fn types(metrics: &Metrics) -> BTreeSet<(&str, &str)> {
    let lines = metrics.text.lines();
    lines
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect()
}

/// The series of one job.
struct Series {
    namespace: String,
    name: String,
}

impl Series {
    fn of(ns: &Namespace, name: &str) -> Self {
        Self {
            namespace: ns.name.clone(),
            name: name.to_owned(),
        }
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [("namespace", &self.namespace), ("name", &self.name)]
    }

    fn value(&self, metrics: &Metrics, name: &str) -> Option<f64> {
        metrics.value(&format!("blit_mirrorjob_{name}"), &self.labels())
    }

    /// The phases that are 1: one.
    fn phase(&self, metrics: &Metrics) -> Vec<String> {
        let found = metrics.find("blit_mirrorjob_phase", &self.labels());
        let set = found.iter().filter(|sample| sample.value == 1.0);
        set.map(|sample| sample.labels["phase"].clone()).collect()
    }
}

/// Panics unless a figure is the time that the status gives, to the second.
#[track_caller]
fn close(figure: Option<f64>, status: &Status, field: &str) {
    let time = status.text(&format!("/status/{field}"));
    let time: k8s_openapi::jiff::Timestamp = time.parse().unwrap();
    let difference = figure.unwrap() - time.as_second() as f64;
    assert!(difference.abs() <= 1.0, "{field}: {figure:?} is not {time}");
}
