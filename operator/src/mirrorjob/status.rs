//! Step five: what became of the movers, said as conditions and a phase.
//!
//! The status follows from the job, the status before and what is [`Observed`] of the pods now. A job is
//! Complete or Failed only when its pods have ended, so that its claims are free then.

mod conditions;
mod figures;
#[cfg(test)]
mod tests;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Attempt, EndpointStatus, Failure, MirrorJobStatus, Phase, Side};
use blit_crds::outcome::{Class, ExitCode, Reason, TerminationMessage, of_attempt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use conditions::initial;

/// How many attempts a status remembers.
const REMEMBERED_ATTEMPTS: usize = 10;

/// What is seen of the current attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The time of the observation.
    pub now: Timestamp,
    /// Number of the attempt; 0 before the first.
    pub attempt: u32,
    /// The source's mover.
    pub source: MoverState,
    /// The destination's mover.
    pub destination: MoverState,
}

/// What is seen of one mover.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MoverState {
    /// There is no pod.
    #[default]
    Absent,
    /// The pod does not run yet; the reason where one is known.
    Waiting(Option<Reason>),
    /// The pod runs on this node.
    Running {
        /// Name of the node.
        node: String,
    },
    /// The pod has ended.
    Ended(Ended),
}

/// How a mover ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// Node of the pod.
    pub node: Option<String>,
    /// Exit code of the container, if it got one.
    pub exit_code: Option<i32>,
    /// Its last word, if it got to say one.
    pub message: Option<TerminationMessage>,
    /// What Kubernetes did to the pod, where that is why it ended: out of memory or disrupted.
    pub killed: Option<Reason>,
}

/// Returns the status of a job after an observation.
pub fn of(job: &MirrorJob, observed: &Observed) -> MirrorJobStatus {
    let mut status = job.status.clone().unwrap_or_default();
    status.observed_generation = job.metadata.generation;
    if status.conditions.is_empty() {
        status.conditions = initial(observed.now, job.metadata.generation);
    }
    endpoints(job, observed, &mut status);
    if status.start_time.is_none() && observed.attempt > 0 {
        status.start_time = Some(Time(observed.now));
    }
    if status.completion_time.is_none() {
        advance(job, observed, &mut status);
    }
    conditions::update(job, observed.now, &mut status);
    status
}

/// Moves a job that is not over to its next phase.
fn advance(job: &MirrorJob, observed: &Observed, status: &mut MirrorJobStatus) {
    use MoverState::{Absent, Ended, Running, Waiting};
    status.waiting_for = None;
    status.phase = match (&observed.source, &observed.destination) {
        (Ended(source), Ended(destination)) => {
            return settle(job, observed, source, destination, status);
        }
        // The destination failed before there was a source.
        (Absent, Ended(destination)) => {
            return settle(job, observed, &Default::default(), destination, status);
        }
        (Absent, Absent) if job.spec.suspend => Phase::Suspended,
        (Absent, Absent) if observed.attempt == 0 => Phase::Pending,
        (Running { .. } | Ended(_), Running { .. } | Ended(_)) => Phase::Running,
        (Waiting(reason), _) | (_, Waiting(reason)) => {
            status.waiting_for = reason.map(|reason| reason.to_string());
            Phase::Preparing
        }
        (Absent, Absent | Running { .. }) | (Running { .. } | Ended(_), Absent) => Phase::Preparing,
    };
}

/// Records an attempt that is over, and what that means for the job.
fn settle(
    job: &MirrorJob,
    observed: &Observed,
    source: &Ended,
    destination: &Ended,
    status: &mut MirrorJobStatus,
) {
    let code = of_attempt(exit_code(source), exit_code(destination));
    let killed = source
        .killed
        .or(destination.killed)
        .filter(|_| code != ExitCode::Complete);
    let told = speaker(code, source, destination);
    let reason = killed.or_else(|| Reason::of(code, told.and_then(|message| message.guard)));
    if let Some(last) = &destination.message {
        status.progress = Some(figures::progress(last, reason.is_none()));
        status.transport = last
            .transport
            .map(|selected| figures::transport(job, selected));
    }
    // The same end is seen more than once: until the pods are gone.
    if status
        .attempts
        .last()
        .is_none_or(|last| last.number != number(observed))
    {
        record(observed, source, destination, code, reason, status);
    }
    let Some(reason) = reason else {
        status.failure = None;
        status.completion_time = Some(Time(observed.now));
        status.phase = Phase::Complete;
        return;
    };
    let cause = match (killed, told) {
        (Some(killed), _) => killed_cause(killed).to_owned(),
        (None, Some(told)) if !told.message.is_empty() => told.message.clone(),
        (None, _) => format!("{}; {}", code.meaning(), code.remedy()),
    };
    let failures = failures(status);
    let exhausted = reason.class() == Class::Retried && failures > job.spec.backoff_limit;
    let (word, message) = if exhausted {
        let message = format!("{failures} attempts failed, the last with {reason}: {cause}");
        (Reason::BackoffLimitExceeded, message)
    } else {
        (reason, cause)
    };
    status.failure = Some(Failure {
        reason: word.to_string(),
        message,
        exit_code: Some(code.code().into()),
        log_tail: String::new(),
    });
    status.phase = match word.class() {
        Class::Terminal => {
            status.completion_time = Some(Time(observed.now));
            Phase::Failed
        }
        Class::Retried | Class::Waiting if job.spec.suspend => Phase::Suspended,
        Class::Retried | Class::Waiting => Phase::Preparing,
    };
}

fn record(
    observed: &Observed,
    source: &Ended,
    destination: &Ended,
    code: ExitCode,
    reason: Option<Reason>,
    status: &mut MirrorJobStatus,
) {
    let node = destination.node.clone().or_else(|| source.node.clone());
    let bytes = destination
        .message
        .as_ref()
        .map_or(0, |message| message.bytes_copied);
    status.attempts.push(Attempt {
        number: number(observed),
        start_time: None,
        end_time: Some(Time(observed.now)),
        reason: reason.map(|reason| reason.to_string()),
        exit_code: Some(code.code().into()),
        node,
        bytes_done: figures::count(bytes),
    });
    let excess = status.attempts.len().saturating_sub(REMEMBERED_ATTEMPTS);
    status.attempts.drain(..excess);
    status.attempts_total = status.attempts_total.saturating_add(1);
}

/// Failed attempts that count against the back-off limit: those since data last moved, without those that
/// were interrupted or disrupted. Attempts that are no longer remembered count.
fn failures(status: &MirrorJobStatus) -> i32 {
    let uncounted = [Reason::PodDisrupted, Reason::Interrupted].map(Reason::as_str);
    let fruitless: Vec<&Attempt> = status
        .attempts
        .iter()
        .rev()
        .take_while(|attempt| attempt.bytes_done == 0)
        .collect();
    let counted = fruitless.iter().filter(|attempt| {
        attempt
            .reason
            .as_deref()
            .is_none_or(|reason| !uncounted.contains(&reason))
    });
    let counted = i32::try_from(counted.count()).unwrap_or(i32::MAX);
    let remembered = i32::try_from(status.attempts.len()).unwrap_or(i32::MAX);
    if fruitless.len() < status.attempts.len() {
        return counted;
    }
    counted.saturating_add(status.attempts_total.saturating_sub(remembered))
}

/// What Kubernetes did to a mover, and the remedy.
fn killed_cause(reason: Reason) -> &'static str {
    match reason {
        Reason::OomKilled => {
            "a mover used more memory than its limit; raise spec.mover.resources.limits.memory"
        }
        _ => "a mover was evicted or its node was drained; the next attempt copies what is missing",
    }
}

/// The mover whose exit code is that of the attempt.
fn speaker<'a>(
    code: ExitCode,
    source: &'a Ended,
    destination: &'a Ended,
) -> Option<&'a TerminationMessage> {
    [destination, source]
        .into_iter()
        .find(|mover| exit_code(mover) == Some(code))
        .and_then(|mover| mover.message.as_ref())
}

fn exit_code(mover: &Ended) -> Option<ExitCode> {
    ExitCode::from_code(u8::try_from(mover.exit_code?).ok()?)
}

fn endpoints(job: &MirrorJob, observed: &Observed, status: &mut MirrorJobStatus) {
    for side in Side::ALL {
        let (endpoint, display, state) = match side {
            Side::Source => (
                &mut status.source,
                job.spec.source.to_string(),
                &observed.source,
            ),
            Side::Destination => (
                &mut status.destination,
                job.spec.destination.to_string(),
                &observed.destination,
            ),
        };
        let endpoint = endpoint.get_or_insert_with(EndpointStatus::default);
        endpoint.display = display;
        match state {
            MoverState::Running { node } => endpoint.node = Some(node.clone()),
            MoverState::Ended(Ended {
                node: Some(node), ..
            }) => endpoint.node = Some(node.clone()),
            _ => {}
        }
    }
}

fn number(observed: &Observed) -> i32 {
    i32::try_from(observed.attempt).unwrap_or(i32::MAX)
}
