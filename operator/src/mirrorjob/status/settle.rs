//! The end of an attempt, and what it means for the job.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Failure, MirrorJobStatus, Phase};
use blit_crds::outcome::{Class, ExitCode, Reason, TerminationMessage, of_attempt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Ended, Observed, Verdict, figures, history};

/// Records the end of the open attempt, and what that means for the job.
pub(super) fn settle(
    job: &MirrorJob,
    observed: &Observed,
    source: &Ended,
    destination: &Ended,
    verdict: Option<&Verdict>,
    status: &mut MirrorJobStatus,
) {
    let code = of_attempt(exit_code(source), exit_code(destination));
    let failed = code != ExitCode::Complete;
    let verdict = verdict.filter(|_| failed);
    // What a mover that had something to say ended with is stronger than what became of the other one afterwards.
    let told_nothing = matches!(code, ExitCode::PeerUnreachable | ExitCode::Interrupted)
        || exit_code(destination).is_none();
    let killed = source
        .killed
        .or(destination.killed)
        .filter(|_| failed && told_nothing)
        .or_else(|| never_came(job, source, code));
    // Only who dials knows that no data plane could be used; the other one was left alone.
    let unavailable = [source, destination]
        .into_iter()
        .filter_map(|mover| mover.message.as_deref())
        .find(|message| message.reason() == Some(Reason::TransportUnavailable))
        .filter(|_| code == ExitCode::PeerUnreachable);
    let told = unavailable.or_else(|| speaker(code, source, destination));
    let reason = verdict
        .map(|verdict| verdict.reason)
        .or(killed)
        .or_else(|| unavailable.and_then(TerminationMessage::reason))
        .or_else(|| Reason::of(code, told.and_then(|message| message.guard)));
    if let Some(last) = &destination.message {
        status.progress = Some(figures::last(last, reason.is_none()));
        figures::last_transport(job, last, source.message.as_deref(), status);
        status.verification.clone_from(&last.verification);
        if job.spec.dry_run {
            status.plan = Some(figures::plan(last));
        }
    }
    record(observed, source, destination, code, reason, status);
    let Some(reason) = reason else {
        status.failure = None;
        status.completion_time = Some(Time(observed.now));
        status.last_progress_time = Some(Time(observed.now));
        status.phase = Phase::Complete;
        return;
    };
    let cause = match (verdict, killed, told) {
        (Some(verdict), _, _) => verdict.message.clone(),
        (None, Some(killed), _) => killed_cause(killed).to_owned(),
        (None, None, Some(told)) if !told.message.is_empty() => told.message.clone(),
        (None, None, _) => format!("{}; {}", code.meaning(), code.remedy()),
    };
    let failures = history::failures(status);
    let exhausted = reason.class() == Class::Retried && failures > job.spec.backoff_limit;
    let (word, message) = if exhausted && history::only_stalled(status) {
        let deadline = job.spec.progress_deadline_seconds;
        let message = format!(
            "{failures} attempts ended because nothing moved, and none of them copied anything \
             (spec.progressDeadlineSeconds is {deadline}): {cause}"
        );
        (Reason::ProgressDeadlineExceeded, message)
    } else if exhausted {
        let message = format!("{failures} attempts failed, the last with {reason}: {cause}");
        (Reason::BackoffLimitExceeded, message)
    } else {
        (reason, cause)
    };
    status.failure = Some(Failure {
        reason: word.to_string(),
        message,
        exit_code: (verdict.is_none() && killed.is_none()).then_some(code.code().into()),
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

/// Completes the record of the open attempt.
fn record(
    observed: &Observed,
    source: &Ended,
    destination: &Ended,
    code: ExitCode,
    reason: Option<Reason>,
    status: &mut MirrorJobStatus,
) {
    let Some(attempt) = status.attempts.last_mut() else {
        return;
    };
    // The figures that were last heard stand in for a mover that could not say its last word, if they are its own.
    let own = status.last_progress_time.as_ref().is_some_and(|heard| {
        let began = attempt.start_time.as_ref();
        began.is_some_and(|began| heard.0 >= began.0)
    });
    let bytes = match (&destination.message, &status.progress) {
        (Some(message), _) => figures::count(message.bytes_copied),
        (None, Some(progress)) if own => progress.bytes_done,
        (None, _) => 0,
    };
    attempt.end_time = Some(Time(observed.now));
    attempt.reason = reason.map(|reason| reason.to_string());
    attempt.exit_code = [destination, source]
        .into_iter()
        .any(|mover| mover.exit_code.is_some())
        .then_some(code.code().into());
    attempt.node = destination.node.clone().or_else(|| source.node.clone());
    attempt.bytes_done = bytes;
}

/// What kept the source from coming, where the destination waited for it in vain.
fn never_came(job: &MirrorJob, source: &Ended, code: ExitCode) -> Option<Reason> {
    if code != ExitCode::PeerUnreachable || *source != Ended::default() {
        return None;
    }
    let waited = job.status.as_ref()?.waiting_for.as_deref()?;
    let (word, _) = waited.split_once(':')?;
    let mut waiting = Reason::ALL
        .into_iter()
        .filter(|reason| reason.class() == Class::Waiting);
    waiting.find(|reason| reason.as_str() == word)
}

/// What Kubernetes did to a mover, and the remedy.
fn killed_cause(reason: Reason) -> &'static str {
    match reason {
        Reason::OomKilled => {
            "a mover used more memory than its limit; raise spec.mover.resources.limits.memory"
        }
        reason if reason.class() == Class::Waiting => {
            "the source's mover could not be made in time; see what the job waited for"
        }
        _ => {
            "a mover was evicted or deleted, or its node was lost; the next attempt copies what is missing"
        }
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
        .and_then(|mover| mover.message.as_deref())
}

fn exit_code(mover: &Ended) -> Option<ExitCode> {
    ExitCode::from_code(u8::try_from(mover.exit_code?).ok()?)
}
