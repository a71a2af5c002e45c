//! From a job without movers to the beginning of an attempt: may it, can it, and is it its turn?

use std::time::Duration;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Destination, Side};
use blit_crds::outcome::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::Again;
use super::attempt as open_attempt;
use super::context::{Context, STALE};
use super::error::ReconcileError;
use super::reconcile::{idle, tell, without_finalizer, write};
use crate::mirrorjob::attempt::{self, MoverState, wait};
use crate::mirrorjob::build::labels;
use crate::mirrorjob::conflict::{self, Other};
use crate::mirrorjob::dereference::dereference;
use crate::mirrorjob::placement::{self, NotPlaced, Placement, Pods, Wait};
use crate::mirrorjob::queue::{Candidate, Choice, Turn};
use crate::mirrorjob::status::{self, End, Observed, Stage, Verdict, history};
use crate::mirrorjob::validate::{Policy, Refusal, ValidatedJob, validate};
use crate::workqueue::JobKey;

/// How often a job that stands in line looks at its place.
const IN_LINE: Duration = Duration::from_secs(10);

/// How many looks the watch has to catch up with a write: 10 s in all.
const MAX_STALE: u32 = 50;

/// Why a job cannot have movers now.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// It waits.
    Wait(Wait),
    /// It can never have some.
    Never(Verdict),
}

/// A job that could have movers now.
pub(super) struct Found {
    /// The job.
    pub job: ValidatedJob,
    /// Where they would run.
    pub placement: Placement,
}

/// Begins the next attempt of a job, if everything is there and it is its turn.
pub(super) async fn start(
    context: &Context,
    key: &JobKey,
    job: &MirrorJob,
    now: Timestamp,
) -> Result<Again, ReconcileError> {
    let uid = job.uid().unwrap_or_default();
    if context.line.holds(&uid) {
        // It has movers, so its attempt has begun: what the watch has is older than that.
        let stale = context.notes(&uid, |notes| {
            notes.stale += 1;
            notes.stale
        });
        if stale < MAX_STALE {
            return Ok(Again::After(STALE));
        }
        context.leave_line(&uid);
    }
    context.notes(&uid, |notes| notes.stale = 0);
    if let Some(wait) = conflict(context, job) {
        return stand_aside(context, job, wait, now).await;
    }
    // Nothing is read for a job that stands behind others.
    if let Some(Turn::Wait(place)) = context.line.turn(&uid) {
        return in_line(context, job, place, now).await;
    }
    let found = match find(context, job).await? {
        Ok(found) => found,
        Err(Obstacle::Wait(wait)) => return stand_aside(context, job, wait, now).await,
        Err(Obstacle::Never(verdict)) => {
            context.leave_line(&uid);
            context.metrics.refused(verdict.reason);
            let observed = Observed {
                stage: Stage::GivenUp(verdict),
                ..idle(now, None, None)
            };
            return tell(context, job, observed).await;
        }
    };
    let candidate = Candidate {
        uid: uid.clone(),
        namespace: key.namespace.clone(),
        created: job
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(now, |time| time.0),
        movers: choices(&found.placement),
    };
    if let Turn::Wait(place) = context.line.stand(key, candidate) {
        return in_line(context, job, place, now).await;
    }
    match take(context, job, &uid) {
        Ok(true) => {}
        Ok(false) => return Ok(Again::After(IN_LINE)),
        Err(wait) => return stand_aside(context, job, wait, now).await,
    }
    let begun = match open_attempt::refused(context, job, &found).await {
        // Nothing was made yet, and its place is another's while it waits.
        Ok(Some(wait)) => return stand_aside(context, job, wait, now).await,
        Ok(None) => begin(context, job, &found, now).await,
        Err(error) => Err(error),
    };
    match begun {
        Ok(again) => Ok(again),
        Err(error) => {
            // The place is given back unless the attempt did begin; then the next pass takes it again.
            context.leave_line(&uid);
            Err(error)
        }
    }
}

/// Finds out whether a job may have movers, and where.
pub(super) async fn find(
    context: &Context,
    job: &MirrorJob,
) -> Result<Result<Found, Obstacle>, ReconcileError> {
    let cluster_scoped = context.settings.cluster_scoped;
    let world = dereference(&context.client, job, cluster_scoped)
        .await
        .map_err(ReconcileError::read("the volumes and nodes of the job"))?;
    // What the administrator wants encrypted is encrypted, or the job is refused as if it had asked for it itself.
    let mut raised = job.clone();
    let encryption = &mut raised.spec.transport.encryption;
    *encryption = context.settings.encryption(*encryption);
    let validated = match validate(&raised, &Policy::of(&context.settings, job, &world)) {
        Ok(validated) => validated,
        Err(refusal @ Refusal::Invalid(_)) => {
            return Ok(Err(Obstacle::Never(Verdict {
                reason: Reason::Invalid,
                message: refusal.to_string(),
            })));
        }
        Err(refusal) => {
            let found = wait(refusal.reason(), refusal.to_string());
            return Ok(Err(Obstacle::Wait(found)));
        }
    };
    let alone_refused = job.status.as_ref().is_some_and(history::alone_refused);
    Ok(match placement::place(&validated, &world, alone_refused) {
        Ok(placement) => Ok(Found {
            job: validated,
            placement,
        }),
        Err(NotPlaced::Wait(wait)) => Err(Obstacle::Wait(wait)),
        Err(NotPlaced::Refuse { message }) => Err(Obstacle::Never(Verdict {
            reason: Reason::Invalid,
            message,
        })),
    })
}

/// Writes the number of the attempt, and then makes its objects.
async fn begin(
    context: &Context,
    job: &MirrorJob,
    found: &Found,
    now: Timestamp,
) -> Result<Again, ReconcileError> {
    let end = |side| End {
        volume: found.placement.of(side).volume.clone(),
        ..End::default()
    };
    let observed = Observed {
        now,
        stage: Stage::Begin,
        heard: None,
        ends: [end(Side::Source), end(Side::Destination)],
    };
    let begun = write(context, job, &status::of(job, &observed)).await?;
    open_attempt::prepare(context, &begun, found).await
}

/// Takes the movers of a job, if nobody came in its way meanwhile. Says whether it was its turn.
fn take(context: &Context, job: &MirrorJob, uid: &str) -> Result<bool, Wait> {
    // Of two jobs that come here at the same time, one sees that the other has movers.
    let _one_at_a_time = context.one_at_a_time();
    match conflict(context, job) {
        Some(wait) => Err(wait),
        None => Ok(context.line.take(uid)),
    }
}

fn conflict(context: &Context, job: &MirrorJob) -> Option<Wait> {
    let active = context.line.active();
    let pods: Vec<String> = context
        .cache
        .pods()
        .filter_map(|pod| {
            let ended = matches!(attempt::state(&pod), MoverState::Ended(_));
            let uid = labels::job_uid(&pod)?.to_owned();
            (!ended).then_some(uid)
        })
        .collect();
    let namespace = job.namespace();
    let others: Vec<_> = context.cache.jobs().collect();
    conflict::blocked(
        job,
        others
            .iter()
            // Claims are of one namespace; only directories of nodes are shared by all.
            .filter(|other| {
                other.namespace() == namespace
                    || matches!(other.spec.destination, Destination::HostPath(_))
            })
            .map(|other| {
                let uid = other.uid().unwrap_or_default();
                Other {
                    job: other,
                    active: active.contains(&uid) || pods.contains(&uid),
                }
            }),
    )
}

/// The job waits for something that no place in the line helps with.
async fn stand_aside(
    context: &Context,
    job: &MirrorJob,
    wait: Wait,
    now: Timestamp,
) -> Result<Again, ReconcileError> {
    let uid = job.uid().unwrap_or_default();
    context.leave_line(&uid);
    let told = job
        .status
        .as_ref()
        .and_then(|status| status.waiting_for.as_deref());
    if told.is_none_or(|told| !told.starts_with(wait.reason.as_str())) {
        context.metrics.refused(wait.reason);
    }
    let patience = context.patience(&uid, &wait.message);
    let job = without_finalizer(context, job).await?;
    tell(context, &job, idle(now, Some(wait), None)).await?;
    Ok(Again::After(patience))
}

async fn in_line(
    context: &Context,
    job: &MirrorJob,
    place: i32,
    now: Timestamp,
) -> Result<Again, ReconcileError> {
    let job = without_finalizer(context, job).await?;
    tell(context, &job, idle(now, None, Some(place))).await?;
    Ok(Again::After(IN_LINE))
}

/// Where each mover may run.
fn choices(placement: &Placement) -> Vec<Choice> {
    let of = |side| placement.of(side).facts.nodes.clone();
    match placement.pods {
        Pods::One => vec![of(Side::Destination)],
        Pods::Two => vec![of(Side::Destination), of(Side::Source)],
    }
}
