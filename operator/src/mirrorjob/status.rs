//! Step five: what became of the movers, said as conditions and a phase.
//!
//! The status follows from the job, the status before and what is [`Observed`] now. A job is
//! Complete or Failed only when its pods have ended, so that its claims are free then. A job that is over does not
//! change any more.

mod conditions;
mod figures;
pub mod history;
mod settle;
#[cfg(test)]
mod tests;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{EndpointStatus, Failure, MirrorJobStatus, Phase, Side};
use blit_crds::outcome::Reason;
use blit_proto::v2::ProgressUpdate;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::attempt::{Ended, MoverState};
use super::placement::Wait;

pub use conditions::initial;

/// Longest `waitingFor`, as in the schema.
const MAX_WAITING_FOR: usize = 1024;

/// What is seen of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The time of the observation.
    pub now: Timestamp,
    /// Where the job is.
    pub stage: Stage,
    /// What is heard from the mover of the open attempt.
    pub heard: Option<Heard>,
    /// Where the two sides are.
    pub ends: [End; 2],
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Between attempts, or before the first.
    Idle {
        /// What it waits for.
        wait: Option<Wait>,
        /// Its place in the queue, from 1.
        queue_position: Option<i32>,
    },
    /// An attempt begins now: everything that it needs was found.
    Begin,
    /// An attempt is under way.
    Open {
        /// The source's mover.
        source: MoverState,
        /// The destination's mover, or the only one.
        destination: MoverState,
        /// What its pods wait for, beside what they say themselves.
        wait: Option<Wait>,
    },
    /// The movers of the open attempt have ended.
    Ended {
        /// How the source's did.
        source: Ended,
        /// How the destination's did, or the only one.
        destination: Ended,
        /// Why the operator ended them, if it did. Success is stronger.
        verdict: Option<Verdict>,
    },
    /// The job is given up while it has no movers.
    GivenUp(Verdict),
}

/// What the operator decided about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One word.
    pub reason: Reason,
    /// Cause and remedy.
    pub message: String,
}

/// What is heard from a mover.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Its figures.
    Figures(Box<ProgressUpdate>),
    /// Nothing: it cannot be reached.
    Silence {
        /// Where it should be.
        address: String,
        /// Why, and what to do.
        hint: String,
    },
}

/// Where one side is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Its pod.
    pub pod: Option<String>,
    /// Its volume.
    pub volume: Option<String>,
    /// Its node.
    pub node: Option<String>,
}

impl Observed {
    /// Returns where a side is.
    pub fn end(&self, side: Side) -> &End {
        match side {
            Side::Source => &self.ends[0],
            Side::Destination => &self.ends[1],
        }
    }
}

/// Returns the status of a job after an observation.
pub fn of(job: &MirrorJob, observed: &Observed) -> MirrorJobStatus {
    let mut status = job.status.clone().unwrap_or_default();
    if status.completion_time.is_some() {
        return status;
    }
    status.observed_generation = job.metadata.generation;
    if status.conditions.is_empty() {
        status.conditions = initial(observed.now, job.metadata.generation);
    }
    endpoints(job, observed, &mut status);
    if let Some(Heard::Figures(update)) = &observed.heard {
        figures::live(job, update, observed.now, &mut status);
    }
    advance(job, observed, &mut status);
    conditions::update(job, observed, &mut status);
    status
}

/// Moves a job that is not over to where it is.
fn advance(job: &MirrorJob, observed: &Observed, status: &mut MirrorJobStatus) {
    status.waiting_for = None;
    status.queue_position = None;
    match &observed.stage {
        Stage::Idle {
            wait,
            queue_position,
        } => {
            status.queue_position = *queue_position;
            tell_wait(status, wait.as_ref());
            let busy = wait
                .as_ref()
                .is_some_and(|wait| wait.reason == Reason::DestinationBusy);
            status.phase = if job.spec.suspend {
                Phase::Suspended
            } else if queue_position.is_some() || busy {
                Phase::Queued
            } else if wait.is_some() || !status.attempts.is_empty() {
                Phase::Preparing
            } else {
                Phase::Pending
            };
        }
        Stage::Begin => {
            history::begin(status, observed.now);
            if status.start_time.is_none() {
                status.start_time = Some(Time(observed.now));
            }
            status.phase = Phase::Preparing;
        }
        Stage::Open {
            source,
            destination,
            wait,
        } => {
            let told = [source, destination]
                .into_iter()
                .find_map(|state| match state {
                    MoverState::Waiting(wait) => wait.as_ref(),
                    _ => None,
                });
            tell_wait(status, wait.as_ref().or(told));
            status.phase = phase(source, destination, observed);
        }
        Stage::Ended {
            source,
            destination,
            verdict,
        } => settle::settle(job, observed, source, destination, verdict.as_ref(), status),
        Stage::GivenUp(verdict) => {
            status.failure = Some(Failure {
                reason: verdict.reason.to_string(),
                message: verdict.message.clone(),
                ..Failure::default()
            });
            status.completion_time = Some(Time(observed.now));
            status.phase = Phase::Failed;
        }
    }
}

fn phase(source: &MoverState, destination: &MoverState, observed: &Observed) -> Phase {
    use MoverState::{Absent, Ended, Running, Waiting};
    match (source, destination) {
        (_, Absent | Waiting(_)) | (Waiting(_), _) => Phase::Preparing,
        (Absent | Running(_) | Ended(_), Running(_) | Ended(_)) => match &observed.heard {
            Some(Heard::Figures(update)) if update.phase == "delete" => Phase::Deleting,
            Some(Heard::Figures(update)) if update.phase == "waiting" => Phase::Preparing,
            // A destination alone waits for its source to be made.
            None if matches!((source, destination), (Absent, Running(_))) => Phase::Preparing,
            _ => Phase::Running,
        },
    }
}

fn tell_wait(status: &mut MirrorJobStatus, wait: Option<&Wait>) {
    status.waiting_for = wait.map(|wait| {
        let mut text = format!("{}: {}", wait.reason, wait.message);
        if text.len() > MAX_WAITING_FOR {
            let mut end = MAX_WAITING_FOR - '…'.len_utf8();
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
        }
        text
    });
}

fn endpoints(job: &MirrorJob, observed: &Observed, status: &mut MirrorJobStatus) {
    for side in Side::ALL {
        let (endpoint, display) = match side {
            Side::Source => (&mut status.source, job.spec.source.to_string()),
            Side::Destination => (&mut status.destination, job.spec.destination.to_string()),
        };
        let endpoint = endpoint.get_or_insert_with(EndpointStatus::default);
        endpoint.display = display;
        let seen = observed.end(side);
        // What is not seen any more is still where it was.
        let keep = |new: &Option<String>, old: &mut Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        keep(&seen.pod, &mut endpoint.pod);
        keep(&seen.volume, &mut endpoint.volume);
        keep(&seen.node, &mut endpoint.node);
    }
}
