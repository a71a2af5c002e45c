//! The series of one MirrorJob, from its status.

use std::collections::BTreeSet;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Attempt, MirrorJobStatus, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{Job, JobFallback, JobInfo, JobPhase, JobReason, kind, phase, selected};
use super::{Number, add, descriptions as d};
use crate::conditions::REASON_COMPLETED;
use crate::workqueue::JobKey;

/// Longest text of a status that becomes a label, in characters.
const LABEL_CHARS: usize = 128;

/// The series of all objects.
#[derive(Debug)]
pub(super) struct JobSeries {
    phase: Family<JobPhase, Gauge>,
    bytes_copied: Family<Job, Counter>,
    bytes_expected: Family<Job, Gauge>,
    files_copied: Family<Job, Counter>,
    files_deleted: Family<Job, Counter>,
    files_failed: Family<Job, Counter>,
    throughput: Family<Job, Gauge>,
    last_progress: Family<Job, Number>,
    last_success: Family<Job, Number>,
    failed: Family<JobReason, Gauge>,
    info: Family<JobInfo, Gauge>,
    attempts: Family<JobReason, Counter>,
    fallback: Family<JobFallback, Counter>,
    queued: Family<Job, Number>,
}

/// What was seen of an object: what its counters stand for, and which series it has.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) uid: String,
    pub(super) phase: Phase,
    job: Job,
    bytes: i64,
    files: i64,
    deleted: i64,
    failures: i64,
    last_attempt: i32,
    attempt_series: BTreeSet<JobReason>,
    fallback_series: BTreeSet<JobFallback>,
    phase_series: Option<JobPhase>,
    failed_series: Option<JobReason>,
    info_series: Option<JobInfo>,
}

/// The end of a job.
pub(super) struct End {
    pub(super) seconds: f64,
    pub(super) transport: &'static str,
}

/// Returns how long a job that is over took from its first pod on, or from its creation if it never had one.
pub(super) fn end(job: &MirrorJob) -> Option<End> {
    let status = job.status.as_ref()?;
    let created = job.metadata.creation_timestamp.as_ref();
    let begin = status.start_time.as_ref().or(created)?;
    let completed = status.completion_time.as_ref()?;
    Some(End {
        seconds: (unix(completed) - unix(begin)).max(0.0),
        transport: transport(status),
    })
}

impl Seen {
    pub(super) fn new(key: &JobKey, uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            phase: Phase::Pending,
            job: Job {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
            },
            bytes: 0,
            files: 0,
            deleted: 0,
            failures: 0,
            last_attempt: 0,
            attempt_series: BTreeSet::new(),
            fallback_series: BTreeSet::new(),
            phase_series: None,
            failed_series: None,
            info_series: None,
        }
    }

    fn reason(&self, reason: &str) -> JobReason {
        JobReason {
            namespace: self.job.namespace.clone(),
            name: self.job.name.clone(),
            reason: short(reason),
        }
    }
}

impl JobSeries {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            phase: add(registry, &d::PHASE, Family::default()),
            bytes_copied: add(registry, &d::BYTES_COPIED, Family::default()),
            bytes_expected: add(registry, &d::BYTES_EXPECTED, Family::default()),
            files_copied: add(registry, &d::FILES_COPIED, Family::default()),
            files_deleted: add(registry, &d::FILES_DELETED, Family::default()),
            files_failed: add(registry, &d::FILES_FAILED, Family::default()),
            throughput: add(registry, &d::THROUGHPUT, Family::default()),
            last_progress: add(registry, &d::LAST_PROGRESS, Family::default()),
            last_success: add(registry, &d::LAST_SUCCESS, Family::default()),
            failed: add(registry, &d::FAILED, Family::default()),
            info: add(registry, &d::INFO, Family::default()),
            attempts: add(registry, &d::ATTEMPTS, Family::default()),
            fallback: add(registry, &d::FALLBACK, Family::default()),
            queued: add(registry, &d::QUEUED, Family::default()),
        }
    }

    /// Brings the series of an object in line with its status.
    pub(super) fn observe(&self, job: &MirrorJob, seen: &mut Seen) {
        let status = job.status.clone().unwrap_or_default();
        seen.phase = status.phase;
        self.states(&status, seen);
        self.figures(&status, seen);
        self.times(job, &status, seen);
        for attempt in &status.attempts {
            self.attempt(attempt, seen);
        }
        self.fallbacks(&status, seen);
    }

    /// Removes all series of an object.
    pub(super) fn remove(&self, seen: &Seen) {
        for counter in [
            &self.bytes_copied,
            &self.files_copied,
            &self.files_deleted,
            &self.files_failed,
        ] {
            counter.remove(&seen.job);
        }
        for gauge in [&self.bytes_expected, &self.throughput] {
            gauge.remove(&seen.job);
        }
        for gauge in [&self.last_progress, &self.last_success, &self.queued] {
            gauge.remove(&seen.job);
        }
        for labels in &seen.attempt_series {
            self.attempts.remove(labels);
        }
        for labels in &seen.fallback_series {
            self.fallback.remove(labels);
        }
        if let Some(labels) = &seen.phase_series {
            self.phase.remove(labels);
        }
        if let Some(labels) = &seen.failed_series {
            self.failed.remove(labels);
        }
        if let Some(labels) = &seen.info_series {
            self.info.remove(labels);
        }
    }

    fn states(&self, status: &MirrorJobStatus, seen: &mut Seen) {
        let now = JobPhase {
            namespace: seen.job.namespace.clone(),
            name: seen.job.name.clone(),
            phase: phase(status.phase),
        };
        switch(&self.phase, &mut seen.phase_series, Some(now));
        let failure = status
            .failure
            .as_ref()
            .filter(|_| status.phase == Phase::Failed);
        let failed = failure.map(|failure| seen.reason(&failure.reason));
        switch(&self.failed, &mut seen.failed_series, failed);
        let display = |end: &Option<blit_crds::mirrorjob::EndpointStatus>| {
            end.as_ref()
                .map_or_else(String::new, |end| short(&end.display))
        };
        let info = JobInfo {
            namespace: seen.job.namespace.clone(),
            name: seen.job.name.clone(),
            source: display(&status.source),
            destination: display(&status.destination),
            transport: transport(status),
        };
        switch(&self.info, &mut seen.info_series, Some(info));
    }

    fn figures(&self, status: &MirrorJobStatus, seen: &mut Seen) {
        let Some(progress) = &status.progress else {
            return;
        };
        let job = &seen.job;
        advance(
            &self.bytes_copied,
            job,
            &mut seen.bytes,
            progress.bytes_done,
        );
        advance(
            &self.files_copied,
            job,
            &mut seen.files,
            progress.files_done,
        );
        advance(
            &self.files_deleted,
            job,
            &mut seen.deleted,
            progress.files_deleted,
        );
        advance(
            &self.files_failed,
            job,
            &mut seen.failures,
            progress.files_failed,
        );
        if let Some(total) = progress.bytes_total {
            self.bytes_expected.get_or_create(job).set(total);
        }
        let moves = matches!(
            status.phase,
            Phase::Running | Phase::Deleting | Phase::Verifying
        );
        let rate = progress.bytes_per_second.filter(|_| moves);
        self.throughput
            .get_or_create(job)
            .set(rate.unwrap_or_default());
    }

    fn times(&self, job: &MirrorJob, status: &MirrorJobStatus, seen: &Seen) {
        if let Some(time) = &status.last_progress_time {
            self.last_progress.get_or_create(&seen.job).set(unix(time));
        }
        if let (Phase::Complete, Some(time)) = (status.phase, &status.completion_time) {
            self.last_success.get_or_create(&seen.job).set(unix(time));
        }
        if let (Some(created), Some(started)) =
            (&job.metadata.creation_timestamp, &status.start_time)
        {
            let waited = (unix(started) - unix(created)).max(0.0);
            self.queued.get_or_create(&seen.job).set(waited);
        }
    }

    /// Counts an attempt that is over and was not counted yet.
    fn attempt(&self, attempt: &Attempt, seen: &mut Seen) {
        if attempt.end_time.is_none() || attempt.number <= seen.last_attempt {
            return;
        }
        seen.last_attempt = attempt.number;
        let labels = seen.reason(attempt.reason.as_deref().unwrap_or(REASON_COMPLETED));
        self.attempts.get_or_create(&labels).inc();
        seen.attempt_series.insert(labels);
    }

    /// Counts each data plane that was given up once.
    fn fallbacks(&self, status: &MirrorJobStatus, seen: &mut Seen) {
        let Some(transport) = &status.transport else {
            return;
        };
        for tried in transport.given_up() {
            let labels = JobFallback {
                namespace: seen.job.namespace.clone(),
                name: seen.job.name.clone(),
                from: kind(tried.kind),
                to: selected(Some(transport.selected)),
                reason: short(&tried.reason),
            };
            if seen.fallback_series.insert(labels.clone()) {
                self.fallback.get_or_create(&labels).inc();
            }
        }
    }
}

/// Puts the one series of an object that is at 1 under other labels.
fn switch<L>(family: &Family<L, Gauge>, series: &mut Option<L>, now: Option<L>)
where
    L: Clone + std::hash::Hash + Eq,
{
    if *series == now {
        return;
    }
    if let Some(labels) = &now {
        family.get_or_create(labels).set(1);
    }
    if let Some(labels) = std::mem::replace(series, now) {
        family.remove(&labels);
    }
}

/// Advances a counter by what was added since; a smaller value is that of a new attempt.
fn advance(family: &Family<Job, Counter>, job: &Job, seen: &mut i64, value: i64) {
    let more = if value < *seen { value } else { value - *seen };
    *seen = value;
    let more = u64::try_from(more).unwrap_or(0);
    family.get_or_create(job).inc_by(more);
}

fn transport(status: &MirrorJobStatus) -> &'static str {
    let transport = status.transport.as_ref();
    selected(transport.map(|transport| transport.selected))
}

fn short(text: &str) -> String {
    text.chars().take(LABEL_CHARS).collect()
}

/// Seconds since 1970-01-01 UTC.
fn unix(time: &Time) -> f64 {
    time.0.as_millisecond() as f64 / 1000.0
}
