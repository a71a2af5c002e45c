//! What the operator tells a monitoring system, in the text format of OpenMetrics.
//!
//! The series of a MirrorJob follow from its status: [`Metrics::observe`] may be called with the same object
//! any number of times. Counters advance by the difference to what was seen of that UID before; an operator
//! that starts anew begins with what the status says, so that no rate jumps. All series of an object
//! go with it ([`Metrics::forget`]). Attempts, fallbacks and durations are read from the status too.
//!
//! Invariants: a label takes only words from a fixed list, names and places of objects, and shortened
//! texts of their status; no clock is read. Non-goals: serving the text ([`crate::admin`]).

mod descriptions;
mod job;
mod labels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::Phase;
use blit_crds::outcome::Reason;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::workqueue::JobKey;
use descriptions::{self as d, Description};
use job::{JobSeries, Seen};
use labels::{Class, PhaseOnly, ReasonOnly, ResultLabels, Version};

pub use descriptions::reference;

/// The type of the text, for the header of the answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the duration of jobs, in seconds: from one to a day.
const DURATION_BOUNDS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
];

/// Bounds of the time that movers take to start, in seconds.
const STARTUP_BOUNDS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0];

/// Bounds of the duration of one reconcile, in seconds.
const RECONCILE_BOUNDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

type Bounded = Family<ResultLabels, Histogram, fn() -> Histogram>;

/// All metrics of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    jobs: JobSeries,
    seen: Mutex<BTreeMap<JobKey, Seen>>,
    phases: Family<PhaseOnly, Gauge>,
    durations: Bounded,
    refusals: Family<ReasonOnly, Counter>,
    mover_startup: Histogram,
    reconcile_duration: Histogram,
    reconcile_errors: Family<Class, Counter>,
    workqueue_depth: Gauge,
    leader: Gauge,
}

impl Metrics {
    /// Makes the metrics, with nothing observed.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let jobs = JobSeries::register(r);
        let phases: Family<PhaseOnly, Gauge> = Family::default();
        for phase in labels::PHASES {
            phases.get_or_create(&PhaseOnly { phase }).set(0);
        }
        let durations: Bounded = Family::new_with_constructor(|| Histogram::new(DURATION_BOUNDS));
        let reconciles = Histogram::new(RECONCILE_BOUNDS);
        let build_info: Family<Version, Gauge> = Family::default();
        let version = env!("CARGO_PKG_VERSION");
        build_info.get_or_create(&Version { version }).set(1);
        add(r, &d::BUILD_INFO, build_info);
        Self {
            jobs,
            seen: Mutex::new(BTreeMap::new()),
            phases: add(r, &d::JOBS, phases),
            durations: add(r, &d::DURATION, durations),
            refusals: add(r, &d::REFUSALS, Family::default()),
            mover_startup: add(r, &d::MOVER_STARTUP, Histogram::new(STARTUP_BOUNDS)),
            reconcile_duration: add(r, &d::RECONCILE_DURATION, reconciles),
            reconcile_errors: add(r, &d::RECONCILE_ERRORS, Family::default()),
            workqueue_depth: add(r, &d::WORKQUEUE_DEPTH, Gauge::default()),
            leader: add(r, &d::LEADER, Gauge::default()),
            registry,
        }
    }

    /// Brings the series of an object in line with its status.
    pub fn observe(&self, job: &MirrorJob) {
        let (Some(namespace), Some(name), Some(uid)) = (
            &job.metadata.namespace,
            &job.metadata.name,
            &job.metadata.uid,
        ) else {
            return;
        };
        let key = JobKey::new(namespace, name);
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(&key);
        // The same name, but another object.
        let before = match before {
            Some(seen) if seen.uid != *uid => {
                self.remove(&seen);
                None
            }
            before => before,
        };
        let known = before.is_some();
        let mut seen = before.unwrap_or_else(|| Seen::new(&key, uid));
        let old_phase = known.then_some(seen.phase);
        self.jobs.observe(job, &mut seen);
        if old_phase != Some(seen.phase) {
            if let Some(phase) = old_phase {
                self.count_phase(phase, -1);
            }
            self.count_phase(seen.phase, 1);
        }
        // What was over before this process saw it was counted by the process before.
        if let (Some(old), Some(end)) = (old_phase, job::end(job))
            && !matches!(old, Phase::Complete | Phase::Failed)
        {
            self.durations
                .get_or_create(&ResultLabels {
                    result: labels::phase(seen.phase),
                    transport: end.transport,
                })
                .observe(end.seconds);
        }
        all.insert(key, seen);
    }

    /// Removes all series of an object that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all.remove(&JobKey::new(namespace, name)) {
            self.remove(&seen);
        }
    }

    /// Counts a reconcile and how long it took.
    pub fn reconciled(&self, duration: Duration) {
        self.reconcile_duration.observe(duration.as_secs_f64());
    }

    /// Counts a reconcile that failed; `class` is one of a fixed list of words.
    pub fn reconcile_failed(&self, class: &'static str) {
        self.reconcile_errors.get_or_create(&Class { class }).inc();
    }

    /// Sets how many objects wait to be reconciled.
    pub fn workqueue_depth(&self, depth: usize) {
        self.workqueue_depth
            .set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// Sets whether this replica leads.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Counts a MirrorJob that was refused. To be called once for each refusal, not for each reconcile.
    pub fn refused(&self, reason: Reason) {
        let reason = reason.as_str();
        self.refusals.get_or_create(&ReasonOnly { reason }).inc();
    }

    /// Counts a mover and how long it took from its pod's creation until it ran.
    pub fn mover_started(&self, duration: Duration) {
        self.mover_startup.observe(duration.as_secs_f64());
    }

    /// Returns everything as text of type [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// Fails when a metric cannot be written, which would be a fault of this module.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn remove(&self, seen: &Seen) {
        self.jobs.remove(seen);
        self.count_phase(seen.phase, -1);
    }

    fn count_phase(&self, phase: Phase, by: i64) {
        let phase = labels::phase(phase);
        self.phases.get_or_create(&PhaseOnly { phase }).inc_by(by);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A gauge whose value need not be whole.
type Number = Gauge<f64, AtomicU64>;

/// Registers a metric under its name and help, and returns it.
fn add<M: Metric + Clone>(registry: &mut Registry, description: &Description, metric: M) -> M {
    registry.register(description.name, description.help, metric.clone());
    metric
}
