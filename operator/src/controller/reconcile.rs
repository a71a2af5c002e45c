//! One pass over one job: what is the next step, and its doing, as far as no attempt is concerned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{MirrorJobStatus, Phase};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tracing::info;

use super::attempt as open_attempt;
use super::cache;
use super::context::{Context, STALE};
use super::error::ReconcileError;
use super::{Again, start, surroundings};
use crate::events;
use crate::follow::interval;
use crate::mirrorjob::apply::has_movers_finalizer;
use crate::mirrorjob::attempt::{self, MoverState};
use crate::mirrorjob::build::{MoverKind, labels};
use crate::mirrorjob::placement::Wait;
use crate::mirrorjob::status::{self, End, Observed, Stage};
use crate::mirrorjob::step::{self, Seen, Step};
use crate::workqueue::JobKey;

/// How often it is looked whether somebody needs what is left of a failed job.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Takes note of the movers that exist when the work begins, so that no job gets a place that is taken.
pub(super) fn adopt(context: &Context) {
    for job in context.cache.jobs() {
        let status = job.status.clone().unwrap_or_default();
        if status.completion_time.is_none() && status::history::open(&status).is_some() {
            hold(context, &job);
        }
    }
}

/// Does what is to be done about a job next.
pub(super) async fn reconcile(context: &Context, key: &JobKey) -> Result<Again, ReconcileError> {
    let Some(job) = context.cache.job(key) else {
        context.forget(key);
        release_orphans(context, key, None).await?;
        return Ok(Again::OnChange);
    };
    let uid = job.uid().unwrap_or_default();
    context.remember(key, &uid);
    context.metrics.observe(&job);
    release_orphans(context, key, Some(&uid)).await?;
    let pods = context.cache.movers(&job);
    let pods: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
    let now = Timestamp::now();
    let seen = Seen {
        now,
        job: &job,
        pods: &pods,
        verdict: None,
    };
    match step::next(&seen) {
        Step::Remove => remove(context, &job, &pods).await,
        Step::LetGo {
            attempts,
            keep_last,
        } => let_go(context, &job, &pods, &attempts, keep_last, now).await,
        Step::Over { delete_at } => over(context, &job, &pods, delete_at, now).await,
        Step::Suspended => {
            context.leave_line(&uid);
            let job = without_finalizer(context, &job).await?;
            tell(context, &job, idle(now, None, None)).await
        }
        Step::GiveUp(verdict) => {
            context.leave_line(&uid);
            let observed = Observed {
                stage: Stage::GivenUp(verdict),
                ..idle(now, None, None)
            };
            tell(context, &job, observed).await?;
            Ok(Again::After(STALE))
        }
        Step::BackOff(at) => {
            let job = without_finalizer(context, &job).await?;
            tell(context, &job, idle(now, None, None)).await?;
            let deadline = step::deadline(&seen).filter(|deadline| *deadline > now);
            let first = deadline.map_or(at, |deadline| deadline.min(at));
            Ok(Again::After(until(first, now)))
        }
        Step::Start => {
            let deadline = step::deadline(&seen);
            let again = start::start(context, key, &job, now).await?;
            Ok(sooner(again, deadline.map(|at| until(at, now))))
        }
        Step::Attempt(attempt) => {
            hold(context, &job);
            open_attempt::go_on(context, &seen, *attempt).await
        }
    }
}

/// Writes what is observed into the status of a job, if that changes it. Figures alone are written now and then only.
pub(super) async fn tell(
    context: &Context,
    job: &MirrorJob,
    observed: Observed,
) -> Result<Again, ReconcileError> {
    let status = status::of(job, &observed);
    let uid = job.uid().unwrap_or_default();
    let before = job.status.as_ref();
    if before == Some(&status) {
        return Ok(Again::OnChange);
    }
    if before.is_some_and(|before| same_but_for_figures(before, &status)) {
        let pause = interval(context.line.len());
        let written = context.notes(&uid, |notes| notes.written);
        let left = written.map(|at| pause.saturating_sub(at.elapsed()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Ok(Again::After(left));
        }
    }
    write(context, job, &status).await?;
    Ok(Again::OnChange)
}

/// Writes a status, and says in metrics and events what is new in it. Returns the job as it is then.
pub(super) async fn write(
    context: &Context,
    job: &MirrorJob,
    status: &MirrorJobStatus,
) -> Result<MirrorJob, ReconcileError> {
    let written = context.writer.status(job, status).await?;
    let uid = job.uid().unwrap_or_default();
    context.notes(&uid, |notes| notes.written = Some(Instant::now()));
    context.metrics.observe(&written);
    let before = job.status.as_ref();
    if before.map(|before| before.phase) != Some(status.phase) {
        info!(phase = ?status.phase, waiting_for = status.waiting_for, "the job has a new phase");
    }
    context
        .publisher
        .publish(job, events::changes(before, status));
    Ok(written)
}

/// What is observed of a job without movers.
pub(super) fn idle(now: Timestamp, wait: Option<Wait>, queue_position: Option<i32>) -> Observed {
    Observed {
        now,
        stage: Stage::Idle {
            wait,
            queue_position,
        },
        heard: None,
        ends: [End::default(), End::default()],
    }
}

/// The time from now to a moment, and a little more, so that it has come then.
pub(super) fn until(at: Timestamp, now: Timestamp) -> Duration {
    let left = at.duration_since(now);
    Duration::try_from(left).unwrap_or_default() + Duration::from_millis(50)
}

/// Looks again after a time at the latest.
pub(super) fn sooner(again: Again, limit: Option<Duration>) -> Again {
    match (again, limit) {
        (again, None) => again,
        (Again::OnChange, Some(limit)) => Again::After(limit),
        (Again::After(delay), Some(limit)) => Again::After(delay.min(limit)),
    }
}

/// Lets pods go whose job is gone: somebody took its finalizers away, and nobody will read their results.
async fn release_orphans(
    context: &Context,
    key: &JobKey,
    but: Option<&str>,
) -> Result<(), ReconcileError> {
    for pod in context.cache.orphans(key, but) {
        context.writer.release_pod(&pod).await?;
    }
    Ok(())
}

/// The job is being deleted: its movers end, then what belongs to them goes, and then the job may.
async fn remove(
    context: &Context,
    job: &MirrorJob,
    pods: &[&Pod],
) -> Result<Again, ReconcileError> {
    let uid = job.uid().unwrap_or_default();
    context.followers.forget(&uid);
    if !has_movers_finalizer(job) {
        context.forget_uid(&uid);
        return Ok(Again::OnChange);
    }
    for pod in pods {
        // Nobody will read its result any more.
        context.writer.release_pod(pod).await?;
        if !attempt::is_leaving(pod) {
            context.writer.end_pod(job, pod).await?;
        }
    }
    if !pods.is_empty() || !open_attempt::pods_now(context, job).await?.is_empty() {
        return Ok(Again::After(Duration::from_secs(2)));
    }
    let last = last_attempt(job);
    for number in last.saturating_sub(1).max(1)..=last {
        let kinds = &MoverKind::ALL;
        context.writer.forget_attempt(job, number, kinds).await?;
    }
    context.writer.movers_finalizer(job, false).await?;
    context.forget_uid(&uid);
    Ok(Again::OnChange)
}

/// Lets the pods of recorded attempts go, after what belongs to them.
async fn let_go(
    context: &Context,
    job: &MirrorJob,
    pods: &[&Pod],
    attempts: &[u32],
    keep_last: bool,
    now: Timestamp,
) -> Result<Again, ReconcileError> {
    let uid = job.uid().unwrap_or_default();
    context.followers.forget(&uid);
    for number in attempts {
        let of_attempt: Vec<&&Pod> = pods
            .iter()
            .filter(|pod| attempt::number(pod) == Some(*number))
            .collect();
        // Of every kind: an attempt that was cut off may have been meant otherwise at first.
        let kinds = &MoverKind::ALL;
        if of_attempt.iter().any(|pod| !pod.finalizers().is_empty()) {
            context.writer.forget_attempt(job, *number, kinds).await?;
        }
        for pod in of_attempt {
            context.writer.release_pod(pod).await?;
            let keep = keep_last && *number == last_attempt(job);
            // One that still runs has no place in a job that is past its attempt.
            let ended = matches!(attempt::state(pod), MoverState::Ended(_));
            if !attempt::is_leaving(pod) && (!keep || !ended) {
                context.writer.end_pod(job, pod).await?;
            }
        }
    }
    let unfinished = job
        .status
        .as_ref()
        .is_some_and(|status| status.completion_time.is_none());
    if unfinished {
        let lost = surroundings::does_not_leave(context, pods, now).await?;
        if lost.is_some() {
            tell(context, job, idle(now, lost, None)).await?;
        }
    }
    // The watch tells when they are gone.
    Ok(Again::After(Duration::from_secs(5)))
}

/// The job is over: nothing is left to do but to delete it in time.
async fn over(
    context: &Context,
    job: &MirrorJob,
    pods: &[&Pod],
    delete_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Again, ReconcileError> {
    let job = without_finalizer(context, job).await?;
    context.forget_uid(&job.uid().unwrap_or_default());
    if let Some(at) = delete_at.filter(|at| *at <= now) {
        info!(%at, "the time to live of the job is over");
        context.writer.delete_job(&job).await?;
        return Ok(Again::OnChange);
    }
    let mut again = sooner(Again::OnChange, delete_at.map(|at| until(at, now)));
    let failed = job.status.as_ref().map(|status| status.phase) == Some(Phase::Failed);
    if failed && !pods.is_empty() {
        if surroundings::somebody_needs(context, &job, pods)
            .await?
            .is_some()
        {
            for pod in pods.iter().filter(|pod| !attempt::is_leaving(pod)) {
                context.writer.end_pod(&job, pod).await?;
            }
        }
        again = sooner(again, Some(LEFT_OVER));
    }
    Ok(again)
}

/// Takes the finalizer off a job that has no movers.
pub(super) async fn without_finalizer(
    context: &Context,
    job: &MirrorJob,
) -> Result<MirrorJob, ReconcileError> {
    let uid = job.uid().unwrap_or_default();
    if context.line.holds(&uid) {
        context.leave_line(&uid);
    }
    if !has_movers_finalizer(job) {
        return Ok(job.clone());
    }
    let patched = context.writer.movers_finalizer(job, false).await?;
    Ok(patched.unwrap_or_else(|| job.clone()))
}

/// Notes the movers of an open attempt that another run of the operator began.
fn hold(context: &Context, job: &MirrorJob) {
    let uid = job.uid().unwrap_or_default();
    let pods = context.cache.movers(job);
    let nodes: Vec<_> = pods
        .iter()
        .map(|pod| attempt::node(pod).map(|node| vec![node.to_owned()]))
        .collect();
    if context.line.holds(&uid) {
        // The scheduler has chosen among the nodes.
        if !nodes.is_empty() && nodes.iter().all(Option::is_some) {
            context.line.refine(&uid, nodes);
        }
        return;
    }
    let mut movers = nodes;
    let alone = pods
        .iter()
        .any(|pod| labels::side(pod) == Some(labels::LOCAL));
    while movers.len() < if alone { 1 } else { 2 } {
        movers.push(None);
    }
    let key = cache::key(job);
    context.line.hold(&uid, &key.namespace, movers);
}

/// Returns the number of the attempt that was begun last, 0 before the first.
pub(super) fn last_attempt(job: &MirrorJob) -> u32 {
    let total = job
        .status
        .as_ref()
        .map_or(0, |status| status.attempts_total);
    u32::try_from(total).unwrap_or_default()
}

/// Whether two statuses differ in nothing but what changes all the time.
fn same_but_for_figures(before: &MirrorJobStatus, after: &MirrorJobStatus) -> bool {
    let fixed = |status: &MirrorJobStatus| MirrorJobStatus {
        progress: status.progress.as_ref().map(|_| Default::default()),
        last_progress_time: None,
        queue_position: status.queue_position.map(|_| 0),
        ..status.clone()
    };
    fixed(before) == fixed(after)
}
