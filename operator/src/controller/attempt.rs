//! An attempt under way: its objects are made, its movers are followed, and its end is recorded.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::Side;
use blit_crds::outcome::Reason;
use blit_proto::pki::{PeerName, Role};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use tracing::info;

use super::Again;
use super::cache;
use super::context::{Context, STALE};
use super::error::ReconcileError;
use super::reconcile::{last_attempt, sooner, tell, until, write};
use super::start::{self, Found, Obstacle};
use super::surroundings::{could_be_two, node_trouble, somebody_needs, unscheduled};
use crate::follow::{State, Target, View};
use crate::identity::Identities;
use crate::mirrorjob::apply::WriteError;
use crate::mirrorjob::attempt::{self as movers, MoverState, Movers};
use crate::mirrorjob::build::{self, Facts, MoverKind, labels};
use crate::mirrorjob::placement::{Placement, Pods, Wait};
use crate::mirrorjob::status::{self, End, Heard, Observed, Stage, Verdict, history};
use crate::mirrorjob::step::{self, ALONE_PATIENCE, Action, Attempt, Outcome, Seen, Step};

/// How often it is looked whether somebody needs a volume of running movers.
const LOOK_AROUND: Duration = Duration::from_secs(15);

/// Goes on with an attempt.
pub(super) async fn go_on(
    context: &Context,
    seen: &Seen<'_>,
    attempt: Attempt,
) -> Result<Again, ReconcileError> {
    let again = attempt.again.map(|at| until(at, seen.now));
    let done = match &attempt.action {
        Action::Prepare => match start::find(context, seen.job).await? {
            Ok(found) => prepare(context, seen.job, &found).await?,
            Err(obstacle) => not_now(context, seen, &attempt, obstacle).await?,
        },
        Action::MakeSource(address) => match start::find(context, seen.job).await? {
            Ok(found) => {
                let facts = facts(
                    context,
                    seen.job,
                    &found.placement,
                    attempt.number,
                    Pods::Two,
                );
                let pod = build::source_pod(&found.job, &facts, *address)?;
                match context.writer.pod(seen.job, &pod).await {
                    Ok(_) => {
                        tell(context, seen.job, observed(context, seen, &attempt, None)).await?
                    }
                    Err(WriteError::Rejected(wait)) => waits(context, seen, &attempt, wait).await?,
                    Err(error) => return Err(error.into()),
                }
            }
            Err(obstacle) => not_now(context, seen, &attempt, obstacle).await?,
        },
        Action::Watch => watch(context, seen, &attempt).await?,
        Action::Stop(sides) => {
            let movers = Movers::of(seen.pods.iter().copied(), attempt.number);
            for pod in sides.iter().filter_map(|side| movers.pod(*side)) {
                info!(pod = %pod.name_any(), "asks the mover to end");
                context.writer.end_pod(seen.job, pod).await?;
            }
            tell(context, seen.job, observed(context, seen, &attempt, None)).await?
        }
        Action::Settle(outcome) => settle(context, seen, &attempt, outcome).await?,
    };
    Ok(sooner(done, again))
}

/// Finds out whether the API server would refuse the pods of the next attempt, before anything is made for it: a quota, a
/// LimitRange or another admission plugin may stand against it for days.
pub(super) async fn refused(
    context: &Context,
    job: &MirrorJob,
    found: &Found,
) -> Result<Option<Wait>, ReconcileError> {
    let number = last_attempt(job).saturating_add(1);
    let pods = found.placement.pods;
    let facts = facts(context, job, &found.placement, number, pods);
    let mut wanted = vec![build::listener(&found.job, &facts, "")?];
    if pods == Pods::Two {
        // Which address it dials makes no difference to who may refuse it.
        wanted.push(build::source_pod(
            &found.job,
            &facts,
            Ipv4Addr::LOCALHOST.into(),
        )?);
    }
    for pod in &wanted {
        match context.writer.try_pod(job, pod).await {
            Ok(()) => {}
            Err(WriteError::Rejected(wait)) => return Ok(Some(wait)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Makes everything of an attempt up to the pod that listens. What exists already is taken as it is.
pub(super) async fn prepare(
    context: &Context,
    job: &MirrorJob,
    found: &Found,
) -> Result<Again, ReconcileError> {
    let status = job.status.clone().unwrap_or_default();
    let Some(number) = history::open(&status) else {
        return Ok(Again::After(STALE));
    };
    // The watch may be behind: without a look at what is there now, identities of living pods could be replaced.
    let exist = pods_now(context, job).await?;
    if exist.iter().any(|pod| movers::number(pod) == Some(number)) {
        return Ok(Again::After(STALE));
    }
    let Some(job) = context.writer.movers_finalizer(job, true).await? else {
        return Ok(Again::OnChange);
    };
    let facts = facts(
        context,
        &job,
        &found.placement,
        number,
        found.placement.pods,
    );
    let identities = Identities::issue(&facts.job_uid, number, SystemTime::now())?
        .known_to(&context.operator_ca());
    let objects = build::prepare(&found.job, &facts, &identities)?;
    match make(context, &job, &objects).await {
        Ok(()) => Ok(Again::OnChange),
        Err(WriteError::Rejected(wait)) => {
            let pods = Vec::new();
            let seen = Seen {
                now: Timestamp::now(),
                job: &job,
                pods: &pods,
                verdict: None,
            };
            match step::next(&seen) {
                Step::Attempt(attempt) => waits(context, &seen, &attempt, wait).await,
                _ => Ok(Again::After(STALE)),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the movers of a job as they are now, not as the watch has them.
pub(super) async fn pods_now(
    context: &Context,
    job: &MirrorJob,
) -> Result<Vec<Pod>, ReconcileError> {
    let api: Api<Pod> =
        Api::namespaced(context.client.clone(), &job.namespace().unwrap_or_default());
    let selector = format!("{}={}", labels::JOB_UID, job.uid().unwrap_or_default());
    let listed = api
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(ReconcileError::read("the pods of the job"))?;
    Ok(listed.items)
}

async fn make(
    context: &Context,
    job: &MirrorJob,
    objects: &build::Prepared,
) -> Result<(), WriteError> {
    if let Some(claim) = &objects.claim {
        context.writer.claim(job, claim).await?;
    }
    for secret in &objects.secrets {
        context.writer.secret(job, secret).await?;
    }
    for policy in &objects.network_policies {
        context.writer.policy(job, policy).await?;
    }
    context.writer.pod(job, &objects.listener).await?;
    Ok(())
}

/// Follows the mover that listens, and sees whether something is wrong around the pods.
async fn watch(
    context: &Context,
    seen: &Seen<'_>,
    attempt: &Attempt,
) -> Result<Again, ReconcileError> {
    let movers = Movers::of(seen.pods.iter().copied(), attempt.number);
    follow(context, seen.job, &movers, attempt);
    measure_starts(context, seen.job, &movers);
    if let Some(verdict) = verdict(context, seen, attempt, &movers).await? {
        info!(reason = %verdict.reason, message = verdict.message, "ends the attempt");
        let judged = Seen {
            verdict: Some(&verdict),
            ..seen.clone()
        };
        if let Step::Attempt(ending) = step::next(&judged) {
            remember_verdict(context, seen.job, &verdict);
            if let Action::Stop(sides) = &ending.action {
                for pod in sides.iter().filter_map(|side| movers.pod(*side)) {
                    context.writer.end_pod(seen.job, pod).await?;
                }
            }
        }
    }
    let trouble = match unscheduled(context, seen, &movers).await? {
        Some(wait) => Some(wait),
        None => node_trouble(context, seen, &movers).await?,
    };
    let again = tell(context, seen.job, observed(context, seen, attempt, trouble)).await?;
    Ok(sooner(again, Some(LOOK_AROUND)))
}

/// Why running movers have to end, beside what time and the job say.
async fn verdict(
    context: &Context,
    seen: &Seen<'_>,
    attempt: &Attempt,
    movers: &Movers<'_>,
) -> Result<Option<Verdict>, ReconcileError> {
    let uid = seen.job.uid().unwrap_or_default();
    if movers.pods().any(movers::is_leaving) {
        return Ok(None);
    }
    let status = seen.job.status.clone().unwrap_or_default();
    let began = history::open_since(&status).unwrap_or(seen.now);
    let unscheduled = |state: &MoverState| matches!(state, MoverState::Waiting(Some(wait)) if wait.reason == Reason::Unschedulable);
    if attempt.alone
        && unscheduled(&attempt.destination)
        && seen.now.duration_since(began) >= ALONE_PATIENCE
        && could_be_two(context, seen.job).await?
    {
        return Ok(Some(Verdict {
            reason: Reason::Unschedulable,
            message: "no node took one pod with both volumes for 60 s; two pods are tried next"
                .to_owned(),
        }));
    }
    let looked = context.notes(&uid, |notes| {
        let due = notes.looked.is_none_or(|at| at.elapsed() >= LOOK_AROUND);
        if due {
            notes.looked = Some(Instant::now());
        }
        due
    });
    if !looked {
        return Ok(None);
    }
    let needed = somebody_needs(context, seen.job, seen.pods).await?;
    Ok(needed.map(|needed| Verdict {
        reason: Reason::PodDisrupted,
        message: format!(
            "the movers gave way: {}; the job goes on when the claim is free",
            needed.why
        ),
    }))
}

/// Records the end of an attempt, and lets its movers go.
async fn settle(
    context: &Context,
    seen: &Seen<'_>,
    attempt: &Attempt,
    outcome: &Outcome,
) -> Result<Again, ReconcileError> {
    let uid = seen.job.uid().unwrap_or_default();
    if seen.pods.is_empty() {
        // The watch may be behind: the end of an attempt is not recorded over a living pod.
        if !pods_now(context, seen.job).await?.is_empty() {
            return Ok(Again::After(STALE));
        }
        // There is nothing by which the rest of the attempt would be found later.
        let kinds = &MoverKind::ALL;
        let forgotten = context
            .writer
            .forget_attempt(seen.job, attempt.number, kinds);
        forgotten.await?;
    }
    let remembered = context.notes(&uid, |notes| notes.verdict.clone());
    let ended = Observed {
        stage: Stage::Ended {
            source: outcome.source.clone(),
            destination: outcome.destination.clone(),
            verdict: remembered.or_else(|| outcome.verdict.clone()),
        },
        ..observed(context, seen, attempt, None)
    };
    write(context, seen.job, &status::of(seen.job, &ended)).await?;
    context.notes(&uid, |notes| notes.verdict = None);
    context.followers.forget(&uid);
    context.leave_line(&uid);
    Ok(Again::After(STALE))
}

/// The movers cannot be made now, although the attempt has begun.
async fn not_now(
    context: &Context,
    seen: &Seen<'_>,
    attempt: &Attempt,
    obstacle: Obstacle,
) -> Result<Again, ReconcileError> {
    match obstacle {
        Obstacle::Wait(wait) => waits(context, seen, attempt, wait).await,
        Obstacle::Never(verdict) => {
            let judged = Seen {
                verdict: Some(&verdict),
                ..seen.clone()
            };
            let Step::Attempt(ending) = step::next(&judged) else {
                return Ok(Again::After(STALE));
            };
            remember_verdict(context, seen.job, &verdict);
            match &ending.action {
                Action::Settle(outcome) => settle(context, &judged, &ending, outcome).await,
                Action::Stop(sides) => {
                    let movers = Movers::of(seen.pods.iter().copied(), attempt.number);
                    for pod in sides.iter().filter_map(|side| movers.pod(*side)) {
                        context.writer.end_pod(seen.job, pod).await?;
                    }
                    Ok(Again::OnChange)
                }
                _ => Ok(Again::OnChange),
            }
        }
    }
}

async fn waits(
    context: &Context,
    seen: &Seen<'_>,
    attempt: &Attempt,
    wait: Wait,
) -> Result<Again, ReconcileError> {
    let uid = seen.job.uid().unwrap_or_default();
    let patience = context.patience(&uid, &wait.message);
    let again = tell(
        context,
        seen.job,
        observed(context, seen, attempt, Some(wait)),
    )
    .await?;
    Ok(sooner(again, Some(patience)))
}

/// Why movers were asked to end is told when they have. After a restart of the operator they are known as interrupted.
fn remember_verdict(context: &Context, job: &MirrorJob, verdict: &Verdict) {
    let uid = job.uid().unwrap_or_default();
    context.notes(&uid, |notes| notes.verdict = Some(verdict.clone()));
}

fn follow(context: &Context, job: &MirrorJob, movers: &Movers<'_>, attempt: &Attempt) {
    let (Some(pod), MoverState::Running(running)) = (movers.destination, &attempt.destination)
    else {
        return;
    };
    let uid = job.uid().unwrap_or_default();
    let expected = PeerName::mover(&uid, attempt.number, Role::Destination);
    let (Some(address), Some(authority), Ok(expected)) =
        (running.address, labels::authority(pod), expected)
    else {
        return;
    };
    context.followers.follow(Target {
        job: cache::key(job),
        job_uid: uid,
        attempt: attempt.number,
        address: SocketAddr::new(address, context.settings.ports.control),
        expected,
        attempt_ca: authority.to_owned(),
    });
}

/// Measures once for each pod how long it took to run.
fn measure_starts(context: &Context, job: &MirrorJob, movers: &Movers<'_>) {
    let uid = job.uid().unwrap_or_default();
    for pod in movers.pods() {
        let created = pod.metadata.creation_timestamp.as_ref();
        if let (Some(created), Some(started)) = (created, movers::started(pod)) {
            let name = pod.name_any();
            let new = context.notes(&uid, |notes| notes.measured.insert(name));
            let took = Duration::try_from(started.duration_since(created.0));
            if let (true, Ok(took)) = (new, took) {
                context.metrics.mover_started(took);
            }
        }
    }
}

/// What is observed of an open attempt, as [`status::of`] takes it.
fn observed(context: &Context, seen: &Seen<'_>, attempt: &Attempt, wait: Option<Wait>) -> Observed {
    let movers = Movers::of(seen.pods.iter().copied(), attempt.number);
    let end = |side: Side| {
        let pod = movers
            .pod(side)
            .or_else(|| movers.destination.filter(|_| movers.alone));
        End {
            pod: pod.map(ResourceExt::name_any),
            node: pod.and_then(movers::node).map(str::to_owned),
            volume: None,
        }
    };
    let uid = seen.job.uid().unwrap_or_default();
    let view = context.followers.latest(&uid);
    Observed {
        now: seen.now,
        stage: Stage::Open {
            source: attempt.source.clone(),
            destination: attempt.destination.clone(),
            wait,
        },
        heard: view.and_then(|view| heard(&view, attempt.number, seen.now)),
        ends: [end(Side::Source), end(Side::Destination)],
    }
}

fn heard(view: &View, attempt: u32, now: Timestamp) -> Option<Heard> {
    if view.attempt != attempt {
        return None;
    }
    match &view.state {
        State::Unreachable { address, hint } => Some(Heard::Silence {
            address: address.to_string(),
            hint: hint.clone(),
        }),
        State::Connecting | State::Connected | State::Ended => {
            (view.update_at(now)).map(|update| Heard::Figures(Box::new(update)))
        }
    }
}

fn facts(
    context: &Context,
    job: &MirrorJob,
    placement: &Placement,
    attempt: u32,
    pods: Pods,
) -> Facts {
    Facts {
        job_uid: job.uid().unwrap_or_default(),
        attempt,
        settings: context.mover.clone(),
        pods,
        source: placement.source.facts.clone(),
        destination: placement.destination.facts.clone(),
    }
}
