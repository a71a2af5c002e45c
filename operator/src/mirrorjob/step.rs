//! What is to be done about a job next. Pure: time, pods and what else was found out come in as parameters.
//!
//! Invariants: an attempt begins only when no pod of an earlier one is left; its number is in the status before its first
//! pod is made; and a pod is let go only when its end is in the status.

use std::net::IpAddr;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{MirrorJobStatus, Phase, Side};
use blit_crds::outcome::Reason;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::attempt::{self, Ended, MoverState, Movers, RESULT_FINALIZER};
use super::status::{Verdict, history};

#[cfg(test)]
mod tests;

/// How long a mover may stay when its peer has ended. It leaves by itself within 30 s.
const SURVIVOR: SignedDuration = SignedDuration::from_secs(35);
/// How long an attempt may last. Its certificates are good for 30 days.
const LONGEST_ATTEMPT: SignedDuration = SignedDuration::from_hours(20 * 24);
/// How long one pod with both volumes waits for a node before two are tried.
pub const ALONE_PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// What is known about a job.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The time.
    pub now: Timestamp,
    /// The job.
    pub job: &'a MirrorJob,
    /// Its pods, of all attempts.
    pub pods: &'a [&'a Pod],
    /// Why the operator wants the movers to end, beside what follows from the job.
    pub verdict: Option<&'a Verdict>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The job is being deleted: its movers end, and then it may go.
    Remove,
    /// Pods of an attempt whose end is recorded are let go.
    LetGo {
        /// Their attempts.
        attempts: Vec<u32>,
        /// Whether the pods of the last attempt stay, for their logs.
        keep_last: bool,
    },
    /// The job is over. It may be deleted at this time.
    Over {
        /// When its time to live is over.
        delete_at: Option<Timestamp>,
    },
    /// The job is suspended and has no movers.
    Suspended,
    /// The job is given up while it has no movers that work.
    GiveUp(Verdict),
    /// The next attempt may not begin before this time.
    BackOff(Timestamp),
    /// The next attempt may begin.
    Start,
    /// An attempt is under way.
    Attempt(Box<Attempt>),
}

/// An attempt that is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// Whether one pod does both.
    pub alone: bool,
    /// The source's mover.
    pub source: MoverState,
    /// The destination's mover, or the only one.
    pub destination: MoverState,
    /// What is to be done about it.
    pub action: Action,
    /// When something follows from time alone.
    pub again: Option<Timestamp>,
}

/// What is to be done about an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make everything up to the pod that listens.
    Prepare,
    /// Make the pod of the source, which dials this address.
    MakeSource(IpAddr),
    /// Nothing.
    Watch,
    /// Ask these movers to end.
    Stop(Vec<Side>),
    /// Record how it ended.
    Settle(Box<Outcome>),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How the source's mover ended.
    pub source: Ended,
    /// How the destination's mover ended, or the only one.
    pub destination: Ended,
    /// Why the operator ended them, if it did.
    pub verdict: Option<Verdict>,
}

/// Says what is to be done next.
pub fn next(seen: &Seen<'_>) -> Step {
    let status = seen.job.status.clone().unwrap_or_default();
    if seen.job.metadata.deletion_timestamp.is_some() {
        return Step::Remove;
    }
    let open = history::open(&status).filter(|_| status.completion_time.is_none());
    let failed = status.phase == Phase::Failed;
    let last = u32::try_from(status.attempts_total).unwrap_or_default();
    let mut attempts: Vec<u32> = seen
        .pods
        .iter()
        .filter_map(|pod| Some((attempt::number(pod)?, pod)))
        .filter(|(number, _)| Some(*number) != open)
        // What stays for its logs has nothing of us any more.
        .filter(|(number, pod)| !(failed && *number == last) || holds_result(pod))
        .map(|(number, _)| number)
        .collect();
    attempts.sort_unstable();
    attempts.dedup();
    let idle = open.is_none() && status.completion_time.is_none();
    let expired = too_late(seen, &status)
        .filter(|(at, _)| idle && !seen.job.spec.suspend && passed(*at, seen.now))
        .map(|(_, verdict)| verdict);
    if let Some(verdict) = expired {
        // Also while pods that were let go do not leave: their node may never come back.
        return Step::GiveUp(verdict);
    }
    if !attempts.is_empty() {
        return Step::LetGo {
            attempts,
            keep_last: failed,
        };
    }
    if let Some(ended) = &status.completion_time {
        let ttl = seen.job.spec.ttl_seconds_after_finished;
        return Step::Over {
            delete_at: ttl.and_then(|ttl| after(ended.0, ttl.into())),
        };
    }
    if let Some(number) = open {
        return Step::Attempt(Box::new(under_way(seen, &status, number)));
    }
    if seen.job.spec.suspend {
        return Step::Suspended;
    }
    match history::next_start(&status) {
        Some(at) if at > seen.now => Step::BackOff(at),
        _ => Step::Start,
    }
}

/// Returns when a job that waits is given up, if it ever is.
pub fn deadline(seen: &Seen<'_>) -> Option<Timestamp> {
    let status = seen.job.status.clone().unwrap_or_default();
    too_late(seen, &status).map(|(at, _)| at)
}

fn under_way(seen: &Seen<'_>, status: &MirrorJobStatus, number: u32) -> Attempt {
    let movers = Movers::of(seen.pods.iter().copied(), number);
    let source = movers.state(Side::Source);
    let destination = movers.state(Side::Destination);
    let began = history::open_since(status).unwrap_or(seen.now);
    let runs = |state: &MoverState| matches!(state, MoverState::Running(_) | MoverState::Ended(_));
    let has_started = runs(&source) || (movers.alone && runs(&destination));
    let limit = [
        too_late(seen, status)
            .filter(|(_, verdict)| !has_started || verdict.reason != Reason::StartupDeadlineExceeded),
        began.checked_add(LONGEST_ATTEMPT).ok().map(|at| {
            let message = "the attempt lasted for 20 days, and its certificates run out at 30; the next one goes on";
            (at, verdict(Reason::Interrupted, message))
        }),
    ];
    let limit = limit.into_iter().flatten().min_by_key(|(at, _)| *at);
    let mut again = limit
        .as_ref()
        .map(|(at, _)| *at)
        .filter(|at| !passed(*at, seen.now));
    let wanted = if seen.job.spec.suspend {
        let message = "stopped by spec.suspend; the job goes on from here when that is false";
        Some(verdict(Reason::Interrupted, message))
    } else {
        let expired = limit.filter(|(at, _)| passed(*at, seen.now));
        seen.verdict
            .cloned()
            .or_else(|| expired.map(|(_, verdict)| verdict))
    };
    let action = action(seen, &movers, (&source, &destination), wanted, &mut again);
    Attempt {
        number,
        alone: movers.alone,
        source,
        destination,
        action,
        again,
    }
}

fn action(
    seen: &Seen<'_>,
    movers: &Movers<'_>,
    states: (&MoverState, &MoverState),
    wanted: Option<Verdict>,
    again: &mut Option<Timestamp>,
) -> Action {
    use MoverState::{Absent, Running};
    let settle = |source: &Ended, destination: &Ended, verdict| {
        Action::Settle(Box::new(Outcome {
            source: source.clone(),
            destination: destination.clone(),
            verdict,
        }))
    };
    let nothing = Ended::default();
    match states {
        (MoverState::Ended(source), MoverState::Ended(destination)) => {
            settle(source, destination, wanted)
        }
        // One pod did both, or the destination failed before there was a source.
        (Absent, MoverState::Ended(destination)) => settle(&nothing, destination, wanted),
        // The destination is gone without a trace: somebody took its finalizer away.
        (MoverState::Ended(source), Absent) => settle(source, &nothing, wanted),
        // What was never made need not end.
        (Absent, Absent) if wanted.is_some() => settle(&nothing, &nothing, wanted),
        (Absent, Absent) => Action::Prepare,
        _ if wanted.is_some() => stop(movers, &[Side::Source, Side::Destination]),
        (MoverState::Ended(ended), _) => survivor(seen, movers, ended, Side::Destination, again),
        (_, MoverState::Ended(ended)) => survivor(seen, movers, ended, Side::Source, again),
        (_, Absent) => stop(movers, &[Side::Source]),
        (Absent, Running(running)) if !movers.alone && running.ready && !running.leaving => {
            match running.address {
                Some(address) => Action::MakeSource(address),
                None => Action::Watch,
            }
        }
        _ => Action::Watch,
    }
}

/// The other mover has ended: this one leaves by itself, or it is asked to.
fn survivor(
    seen: &Seen<'_>,
    movers: &Movers<'_>,
    ended: &Ended,
    side: Side,
    again: &mut Option<Timestamp>,
) -> Action {
    let started = matches!(movers.state(side), MoverState::Running(_));
    let until = ended.at.and_then(|at| at.checked_add(SURVIVOR).ok());
    match until {
        Some(until) if started && !passed(until, seen.now) => {
            *again = Some(again.map_or(until, |again| again.min(until)));
            Action::Watch
        }
        _ => stop(movers, &[side]),
    }
}

/// Those of these movers that have to be asked to end.
fn stop(movers: &Movers<'_>, sides: &[Side]) -> Action {
    let asked: Vec<Side> = sides
        .iter()
        .copied()
        .filter(|side| {
            let pod = movers.pod(*side).filter(|pod| !attempt::is_leaving(pod));
            pod.is_some_and(|pod| !matches!(attempt::state(pod), MoverState::Ended(_)))
        })
        .collect();
    if asked.is_empty() {
        Action::Watch
    } else {
        Action::Stop(asked)
    }
}

/// The first deadline of the job, and what it means.
fn too_late(seen: &Seen<'_>, status: &MirrorJobStatus) -> Option<(Timestamp, Verdict)> {
    let spec = &seen.job.spec;
    let active = spec.active_deadline_seconds.and_then(|seconds| {
        let message = format!(
            "the job was not done within spec.activeDeadlineSeconds ({seconds} s) of its first pod; allow more time and \
             `kubectl blit retry` it: what arrived is not sent again"
        );
        let at = after(status.start_time.as_ref()?.0, seconds)?;
        Some((at, verdict(Reason::DeadlineExceeded, message)))
    });
    let startup = spec.startup_deadline_seconds.filter(|_| !started(status));
    let startup = startup.and_then(|seconds| {
        let waiting = status.waiting_for.as_deref().unwrap_or("its pods");
        let message = format!(
            "no mover ran within spec.startupDeadlineSeconds ({seconds} s); the job waited for {waiting}"
        );
        let at = after(waits_since(seen.job, status)?, seconds)?;
        Some((at, verdict(Reason::StartupDeadlineExceeded, message)))
    });
    [active, startup]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
}

/// Whether a mover of the job ever ran.
fn started(status: &MirrorJobStatus) -> bool {
    status.progress.is_some()
        || status
            .attempts
            .iter()
            .any(|attempt| attempt.exit_code.is_some())
}

/// Since when the job may start: its creation, or the end of its last suspension, once that is written down.
fn waits_since(job: &MirrorJob, status: &MirrorJobStatus) -> Option<Timestamp> {
    let created = job.metadata.creation_timestamp.as_ref()?.0;
    let suspended = status
        .conditions
        .iter()
        .find(|known| known.type_ == crate::conditions::SUSPENDED);
    match suspended {
        Some(known) if known.status == "True" => None,
        Some(known) if known.status == "False" => Some(known.last_transition_time.0.max(created)),
        _ => Some(created),
    }
}

fn holds_result(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.iter().flatten();
    finalizers
        .into_iter()
        .any(|finalizer| finalizer == RESULT_FINALIZER)
}

fn verdict(reason: Reason, message: impl Into<String>) -> Verdict {
    Verdict {
        reason,
        message: message.into(),
    }
}

fn after(time: Timestamp, seconds: i64) -> Option<Timestamp> {
    time.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn passed(at: Timestamp, now: Timestamp) -> bool {
    at <= now
}
