//! Name, kind, labels and meaning of every metric: what is registered, and what the reference says.

use std::fmt::Write as _;

/// The command that writes the reference.
const COMMAND: &str =
    "cargo run -p blit-operator --example metrics-reference > docs/reference/metrics.md";

/// A metric.
#[derive(Debug)]
pub(super) struct Description {
    /// Its name as it is registered; a counter is exposed with `_total` behind it.
    pub(super) name: &'static str,
    /// Its kind.
    pub(super) kind: Kind,
    /// Its labels.
    pub(super) labels: &'static [&'static str],
    /// Its meaning, without a full stop at the end.
    pub(super) help: &'static str,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up.
    Counter,
    /// Counts observations by size.
    Histogram,
}

const JOB: &[&str] = &["namespace", "name"];

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident $labels:expr, $help:literal;)*) => {
        $(pub(super) const $constant: Description = Description {
            name: $name,
            kind: Kind::$kind,
            labels: $labels,
            help: $help,
        };)*

        /// All metrics, in the order of the reference.
        pub(super) const ALL: &[Description] = &[$($constant),*];
    };
}

metrics! {
    PHASE "blit_mirrorjob_phase" Gauge &["namespace", "name", "phase"],
        "1 for the phase that the MirrorJob is in; there is no series for the others";
    BYTES_COPIED "blit_mirrorjob_bytes_copied" Counter JOB,
        "Bytes of content copied, over all attempts";
    BYTES_EXPECTED "blit_mirrorjob_bytes_expected" Gauge JOB,
        "Bytes of content that the present attempt has to copy; known once the scan is complete";
    FILES_COPIED "blit_mirrorjob_files_copied" Counter JOB,
        "Entries that were made like the source or found to be, over all attempts";
    FILES_DELETED "blit_mirrorjob_files_deleted" Counter JOB,
        "Entries deleted at the destination, over all attempts";
    FILES_FAILED "blit_mirrorjob_files_failed" Counter JOB,
        "Entries that could not be copied, over all attempts";
    THROUGHPUT "blit_mirrorjob_throughput_bytes_per_second" Gauge JOB,
        "Bytes of content copied a second at the moment; 0 when no mover runs";
    LAST_PROGRESS "blit_mirrorjob_last_progress_timestamp_seconds" Gauge JOB,
        "When something was last copied, deleted or compared, in seconds since 1970";
    LAST_SUCCESS "blit_mirrorjob_last_success_timestamp_seconds" Gauge JOB,
        "When the MirrorJob completed, in seconds since 1970; absent until then";
    FAILED "blit_mirrorjob_failed" Gauge &["namespace", "name", "reason"],
        "1 for a MirrorJob that has failed, with the reason; absent otherwise";
    INFO "blit_mirrorjob_info" Gauge &["namespace", "name", "source", "destination", "transport"],
        "Always 1; source and destination of the MirrorJob, and its data plane once there is one";
    ATTEMPTS "blit_mirrorjob_attempts" Counter &["namespace", "name", "reason"],
        "Attempts that are over, by how they ended; Completed is success";
    FALLBACK "blit_mirrorjob_transport_fallback" Counter
        &["namespace", "name", "from", "to", "reason"],
        "Data planes that were given up, with the one that was used instead";
    QUEUED "blit_mirrorjob_queued_seconds" Gauge JOB,
        "Seconds from the creation of the MirrorJob to its first mover pod; absent until then";
    DURATION "blit_mirrorjob_duration_seconds" Histogram &["result", "transport"],
        "Seconds from the first mover pod to the end of MirrorJobs that ended while this process watched";
    JOBS "blit_mirrorjobs" Gauge &["phase"],
        "MirrorJobs in each phase";
    REFUSALS "blit_refusals" Counter &["reason"],
        "MirrorJobs that were refused";
    MOVER_STARTUP "blit_mover_startup_seconds" Histogram &[],
        "Seconds from the creation of a mover pod until it ran";
    RECONCILE_DURATION "blit_operator_reconcile_duration_seconds" Histogram &[],
        "Seconds that reconciling one MirrorJob once took";
    RECONCILE_ERRORS "blit_operator_reconcile_errors" Counter &["class"],
        "Reconciles that failed and are tried again";
    WORKQUEUE_DEPTH "blit_operator_workqueue_depth" Gauge &[],
        "MirrorJobs that wait to be reconciled";
    BUILD_INFO "blit_build_info" Gauge &["version"],
        "Always 1; version of the operator";
    LEADER "blit_leader" Gauge &[],
        "1 on the replica that leads, 0 on the others";
}

impl Description {
    /// Returns the name as it is exposed.
    pub(super) fn exposed(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

impl Kind {
    /// Returns the word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Returns the page `docs/reference/metrics.md`.
pub fn reference() -> String {
    let mut page = format!(
        "<!-- Generated by `{COMMAND}`. Change operator/src/metrics/descriptions.rs instead. -->\n\
         # Metrics\n\n\
         Every replica of the operator serves these at `/metrics` on `ports.metrics` (8080), in the text format of \
         OpenMetrics. Nothing is sent anywhere: a monitoring system of the cluster reads it. Only the leader has \
         series of MirrorJobs; they are removed with the object. Counters of a MirrorJob begin with what its \
         status says, so they survive a restart of the operator.\n\n\
         | Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
    );
    for metric in ALL {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            metric.exposed(),
            metric.kind.as_str(),
            labels.join(", "),
            metric.help,
        );
    }
    page.push_str(
        "\nA histogram is exposed as `_bucket`, `_sum` and `_count`. `phase`, `reason` and `transport` are the \
         words of the status: see [mirrorjob.md](mirrorjob.md) and [exit-codes.md](exit-codes.md).\n",
    );
    page
}
