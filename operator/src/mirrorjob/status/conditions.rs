//! The conditions, from the phase and the rest of the status.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{MirrorJobStatus, Phase};
use blit_crds::outcome::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Heard, Observed, Stage};
use crate::conditions::{
    ALL, COMPLETE, FAILED, METADATA_PRESERVED, PREFLIGHT_PASSED, PROGRESS_AVAILABLE, PROGRESSING,
    READY, REASON_ALL_KEPT, REASON_COMPLETED, REASON_FOUND, REASON_MISMATCH, REASON_NOT_COMPLETED,
    REASON_NOT_KEPT, REASON_PENDING, REASON_PROVEN, REASON_QUEUED, REASON_RESUMED, REASON_RUNNING,
    REASON_STARTING, REASON_SUSPENDED, REASON_UNREACHABLE, SUSPENDED, VERIFIED,
};

/// Returns every condition as Unknown: what a job starts with.
pub fn initial(now: Timestamp, generation: Option<i64>) -> Vec<Condition> {
    ALL.map(|type_| Condition {
        type_: type_.to_owned(),
        status: "Unknown".to_owned(),
        reason: REASON_PENDING.to_owned(),
        message: String::new(),
        last_transition_time: Time(now),
        observed_generation: generation,
    })
    .into()
}

/// Brings the conditions in line with the phase. A condition about which nothing is known stays as it is.
pub(super) fn update(job: &MirrorJob, observed: &Observed, status: &mut MirrorJobStatus) {
    let now = observed.now;
    let mut news: Vec<(&str, bool, String, String)> = Vec::new();
    let mut tell = |type_, holds, reason: &str, message: &str| {
        news.push((type_, holds, reason.to_owned(), message.to_owned()));
    };
    let failure = status.failure.clone().unwrap_or_default();
    match status.phase {
        Phase::Complete => {
            tell(
                COMPLETE,
                true,
                REASON_COMPLETED,
                "the destination is as asked",
            );
            tell(FAILED, false, REASON_COMPLETED, "");
            tell(READY, true, REASON_COMPLETED, "");
            tell(PROGRESSING, false, REASON_COMPLETED, "");
        }
        Phase::Failed => {
            tell(COMPLETE, false, &failure.reason, "");
            tell(FAILED, true, &failure.reason, &failure.message);
            tell(READY, false, REASON_NOT_COMPLETED, "");
            tell(PROGRESSING, false, &failure.reason, "");
        }
        Phase::Running | Phase::Deleting | Phase::Verifying => {
            tell(PROGRESSING, true, REASON_RUNNING, "");
        }
        Phase::Preparing => {
            let waiting = status.waiting_for.as_deref();
            let (reason, message) = waiting
                .and_then(|waiting| waiting.split_once(": "))
                .unwrap_or((REASON_STARTING, &failure.message));
            tell(PROGRESSING, false, reason, message);
        }
        Phase::Suspended => tell(PROGRESSING, false, REASON_SUSPENDED, ""),
        Phase::Queued => {
            let message = status.waiting_for.clone().unwrap_or_default();
            tell(PROGRESSING, false, REASON_QUEUED, &message);
        }
        Phase::Pending => {}
    }
    match &observed.stage {
        Stage::Idle {
            wait: Some(wait), ..
        } => {
            tell(PREFLIGHT_PASSED, false, wait.reason.as_str(), &wait.message);
        }
        Stage::Begin => tell(PREFLIGHT_PASSED, true, REASON_FOUND, ""),
        _ => {}
    }
    match &observed.heard {
        Some(Heard::Figures(_)) => tell(PROGRESS_AVAILABLE, true, REASON_RUNNING, ""),
        Some(Heard::Silence { address, hint }) => {
            let message = format!("cannot follow the mover at {address}: {hint}");
            tell(PROGRESS_AVAILABLE, false, REASON_UNREACHABLE, &message);
        }
        None => {}
    }
    if job.spec.suspend {
        tell(
            SUSPENDED,
            status.phase == Phase::Suspended,
            REASON_SUSPENDED,
            "",
        );
    } else {
        tell(SUSPENDED, false, REASON_RESUMED, "");
    }
    if let (Some(progress), true) = (&status.progress, status.completion_time.is_some()) {
        let lost: Vec<String> = progress
            .metadata_not_kept
            .iter()
            .map(|(kind, number)| format!("{kind} of {number}"))
            .collect();
        if lost.is_empty() {
            tell(METADATA_PRESERVED, true, REASON_ALL_KEPT, "");
        } else {
            let message = format!("could not be kept: {}", lost.join(", "));
            tell(METADATA_PRESERVED, false, REASON_NOT_KEPT, &message);
        }
    }
    if let (Some(found), true) = (&status.verification, status.completion_time.is_some()) {
        let compared = found.compared;
        match status.phase {
            Phase::Complete => {
                let message = format!("what arrived is what was sent, of {compared} files");
                tell(VERIFIED, true, REASON_PROVEN, &message);
            }
            _ if failure.reason == Reason::VerifyFailed.as_str() => {
                tell(VERIFIED, false, REASON_MISMATCH, &failure.message);
            }
            _ => {}
        }
    }
    for (type_, holds, reason, message) in news {
        set(
            status,
            now,
            job.metadata.generation,
            type_,
            holds,
            reason,
            message,
        );
    }
}

/// Sets a condition; the time of its last transition moves only when it changes its status.
fn set(
    status: &mut MirrorJobStatus,
    now: Timestamp,
    generation: Option<i64>,
    type_: &str,
    holds: bool,
    reason: String,
    message: String,
) {
    let Some(condition) = status
        .conditions
        .iter_mut()
        .find(|known| known.type_ == type_)
    else {
        return;
    };
    let value = if holds { "True" } else { "False" };
    if condition.status != value {
        condition.last_transition_time = Time(now);
        condition.status = value.to_owned();
    }
    condition.reason = reason;
    condition.message = message;
    condition.observed_generation = generation;
}
