//! From facts to findings: what is worth saying about a job. Pure.
//!
//! The order is that of importance: what ends or stops the job, what its objects say, what is only worth knowing.

mod objects;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{MirrorJobStatus, Phase};
use blit_crds::outcome::Reason;
use jiff::{SignedDuration, Timestamp};

use super::advice::{advise, reason};
use super::facts::{Case, Facts};
use super::finding::Finding;
use crate::conditions::{METADATA_PRESERVED, PROGRESS_AVAILABLE, VERIFIED};
use crate::kubectl::status::{kind, word};
use crate::kubectl::text::{Style, bytes, count, counted, duration};
use crate::mirrorjob::status::history;

/// Silence of movers that is worth a word.
const SILENCE: SignedDuration = SignedDuration::from_secs(60);
/// Time that an operator may take to notice something.
const NOTICE: SignedDuration = SignedDuration::from_secs(15);
/// Finalizer by which the operator keeps a job until its movers have ended.
const MOVERS: &str = "blit.dev/movers";

/// Returns what is worth saying.
pub(super) fn findings(job: &MirrorJob, facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let none = MirrorJobStatus::default();
    let case = Case {
        job,
        status: job.status.as_ref().unwrap_or(&none),
        facts,
        now,
    };
    let mut found = Vec::new();
    found.extend(deleted(&case));
    found.extend(objects::operator(&case, NOTICE));
    found.extend(suspended(&case));
    found.extend(waits(&case));
    found.extend(queued(&case));
    found.extend(failed(&case));
    found.extend(repeated(&case));
    found.extend(objects::claims(&case));
    found.extend(objects::pods(&case));
    found.extend(silent(&case));
    found.extend(conditions(&case));
    found.extend(transport(&case));
    if found.is_empty() || case.status.phase == Phase::Complete {
        found.insert(0, well(&case));
    }
    found
}

fn deleted(case: &Case<'_>) -> Option<Finding> {
    let since = case.job.metadata.deletion_timestamp.as_ref()?;
    let finding = Finding::new(Style::Warn, "It is being deleted")
        .because(format!("Since {}.", case.ago(since.0)));
    let finalizers = case.job.metadata.finalizers.clone().unwrap_or_default();
    let finding = if finalizers.iter().any(|name| name == MOVERS) {
        finding
            .because(
                "It stays until its movers have ended, so that the claims are free afterwards.",
            )
            .remedy("wait; a mover has a minute to end. If the operator is gone, install it again.")
            .command(format!(
                "kubectl get pods -l blit.dev/job-uid={} -n {}",
                case.job.metadata.uid.as_deref().unwrap_or_default(),
                case.namespace()
            ))
    } else {
        let others: Vec<_> = finalizers
            .iter()
            .map(|name| format!("Finalizer {name} holds it."))
            .collect();
        finding.because_all(others)
    };
    Some(finding)
}

fn suspended(case: &Case<'_>) -> Option<Finding> {
    (case.job.spec.suspend && !is_over(case)).then(|| {
        let name = case.name();
        Finding::new(Style::Warn, "It is suspended")
            .because("spec.suspend is true; what was copied stays at the destination.")
            .remedy("let it go on.")
            .command(format!(
                "kubectl patch mirrorjob {name} -n {} --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}'",
                case.namespace()
            ))
    })
}

fn waits(case: &Case<'_>) -> Option<Finding> {
    if is_over(case) {
        return None;
    }
    let cause = case.status.waiting_for.as_deref()?;
    let (word, message) = cause.split_once(": ").unwrap_or((cause, ""));
    let finding = Finding::new(Style::Warn, format!("It waits: {word}")).because(sentence(message));
    let Some(reason) = reason(word) else {
        return Some(finding);
    };
    let finding = objects::around(finding, reason, case);
    let finding = advise(finding, reason, case);
    Some(match case.job.spec.startup_deadline_seconds {
        Some(seconds) => finding.because(format!(
            "It fails when it has waited for {}.",
            duration(SignedDuration::from_secs(seconds))
        )),
        None => finding,
    })
}

fn queued(case: &Case<'_>) -> Option<Finding> {
    let position = case.status.queue_position.filter(|_| !is_over(case))?;
    Some(
        Finding::new(Style::Warn, format!("It is queued, at place {position}"))
            .because("As many movers run as the administrator allows (values mover.maxPerNode and mover.maxTotal).")
            .remedy("wait, or cancel a job that matters less.")
            .command("kubectl blit status -A"),
    )
}

fn failed(case: &Case<'_>) -> Option<Finding> {
    let failure = case.status.failure.as_ref()?;
    if case.status.phase != Phase::Failed {
        return None;
    }
    let title = format!("It failed: {}", failure.reason);
    let finding = Finding::new(Style::Bad, title).because(sentence(&failure.message));
    let finding = advised(finding, &failure.reason, case);
    let finding = finding.because_all(details(case));
    let hopeless = failure.reason == Reason::Invalid.as_str();
    Some(if hopeless {
        finding
    } else {
        finding.command(format!(
            "kubectl blit retry {} -n {}",
            case.name(),
            case.namespace()
        ))
    })
}

/// The last attempt failed and there will be another one.
fn repeated(case: &Case<'_>) -> Option<Finding> {
    let failure = case.status.failure.as_ref()?;
    if is_over(case) {
        return None;
    }
    let number = case
        .status
        .attempts
        .iter()
        .rev()
        .find(|attempt| attempt.end_time.is_some());
    let number = number.map_or(0, |attempt| attempt.number);
    let title = format!("Attempt {number} failed: {}", failure.reason);
    let finding = Finding::new(Style::Warn, title).because(sentence(&failure.message));
    let finding = advised(finding, &failure.reason, case).because_all(details(case));
    let next = history::next_start(case.status);
    Some(match next {
        Some(next) if next > case.now => finding.because(format!(
            "The next attempt begins in {}; what is there is not copied again.",
            duration(next.duration_since(case.now))
        )),
        _ if history::open(case.status).is_some() => {
            finding.because("Another attempt is under way.")
        }
        _ => finding,
    })
}

/// Adds what a reason means. Behind too many failures the last one is what counts.
fn advised(finding: Finding, word: &str, case: &Case<'_>) -> Finding {
    let Some(known) = reason(word) else {
        return finding;
    };
    let finding = advise(finding, known, case);
    if known != Reason::BackoffLimitExceeded {
        return finding;
    }
    let last = case.status.attempts.last();
    let last = last.and_then(|attempt| attempt.reason.as_deref());
    match last.and_then(reason) {
        Some(last) => advise(finding, last, case),
        None => finding,
    }
}

/// The entries that failed, and the end of the log.
fn details(case: &Case<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let files = &case.status.failed_files;
    if !files.is_empty() {
        lines.push(format!(
            "{} could not be copied:",
            counted(
                case.status
                    .progress
                    .as_ref()
                    .map_or(0, |progress| progress.files_failed)
                    .max(i64::try_from(files.len()).unwrap_or(i64::MAX)),
                "entry",
                "entries"
            )
        ));
        lines.extend(
            files
                .iter()
                .map(|file| format!("  {}: {}", file.path, file.error)),
        );
    }
    let tail = case
        .status
        .failure
        .as_ref()
        .map(|failure| failure.log_tail.trim());
    if let Some(tail) = tail.filter(|tail| !tail.is_empty()) {
        lines.push("The end of the log:".to_owned());
        lines.extend(tail.lines().map(|line| format!("  {line}")));
    }
    lines
}

/// Movers are at work and nothing moves.
fn silent(case: &Case<'_>) -> Option<Finding> {
    let working = matches!(
        case.status.phase,
        Phase::Running | Phase::Deleting | Phase::Verifying
    );
    let last = case
        .status
        .last_progress_time
        .as_ref()
        .filter(|_| working)?;
    let silence = case.now.duration_since(last.0);
    (silence > SILENCE).then(|| {
        let deadline = SignedDuration::from_secs(case.job.spec.progress_deadline_seconds);
        Finding::new(
            Style::Warn,
            format!("Nothing has moved for {}", duration(silence)),
        )
        .because("A storage system may hang, or a large directory is being listed.")
        .because(format!(
            "The attempt fails after {} without progress (spec.progressDeadlineSeconds).",
            duration(deadline)
        ))
        .remedy("see what the movers say.")
        .command(format!(
            "kubectl blit logs {} -f -n {}",
            case.name(),
            case.namespace()
        ))
    })
}

fn conditions(case: &Case<'_>) -> Vec<Finding> {
    let untrue = case
        .status
        .conditions
        .iter()
        .filter(|known| known.status == "False");
    untrue
        .filter_map(|condition| {
            let message = sentence(&condition.message);
            Some(match condition.type_.as_str() {
                PROGRESS_AVAILABLE if !is_over(case) => {
                    Finding::new(Style::Warn, "Its figures are old: the operator cannot follow the movers")
                        .because(message)
                        .because("The movers need no operator; they go on and their end will be seen.")
                        .remedy("let network policies and firewalls pass TCP 9031 from the operator to the movers.")
                        .command(format!("kubectl get networkpolicies -n {}", case.namespace()))
                }
                METADATA_PRESERVED => {
                    Finding::new(Style::Warn, "Some metadata could not be kept")
                        .because(message)
                        .remedy(
                            "if it matters, make the job with spec.mover.podSecurity: Baseline, which keeps owners, \
                             devices and file capabilities where the file system of the destination can.",
                        )
                }
                VERIFIED => Finding::new(Style::Bad, "The verification found differences")
                    .because(message)
                    .command(format!("kubectl blit logs {} -n {}", case.name(), case.namespace())),
                _ => return None,
            })
        })
        .collect()
}

fn transport(case: &Case<'_>) -> Option<Finding> {
    let transport = case.status.transport.as_ref()?;
    let reasons: Vec<String> = transport
        .given_up()
        .map(|tried| format!("{} was given up: {}", kind(tried.kind), tried.reason))
        .collect();
    (!reasons.is_empty()).then(|| {
        Finding::new(Style::Warn, "The data does not travel as it was wanted")
            .because_all(reasons)
            .because(format!(
                "It travels by {} instead, which may be slower.",
                word(transport.selected)
            ))
    })
}

/// Nothing is wrong.
fn well(case: &Case<'_>) -> Finding {
    let progress = case.status.progress.clone().unwrap_or_default();
    let figures = format!(
        "{} entries in place, {} copied, {} deleted.",
        count(progress.files_done),
        bytes(progress.bytes_done),
        count(progress.files_deleted)
    );
    match case.status.phase {
        Phase::Complete => Finding::new(Style::Good, "It is complete: the destination is as asked")
            .because(figures),
        Phase::Running | Phase::Deleting | Phase::Verifying => {
            Finding::new(Style::Good, "It is at work and nothing is wrong").because(figures)
        }
        _ => Finding::new(Style::Good, "Nothing is wrong: it is about to start")
            .because(format!("It was made {} ago.", duration(case.age()))),
    }
}

fn is_over(case: &Case<'_>) -> bool {
    crate::kubectl::status::is_over(case.status)
}

/// A message as a sentence: the operator writes them without a capital and a full stop. A first word that is the name
/// of an object or a field stays as it is.
pub(super) fn sentence(message: &str) -> String {
    let message = message.trim();
    let first = message.split(' ').next().unwrap_or_default();
    let is_word = first.chars().all(|c| c.is_ascii_lowercase());
    let mut characters = message.chars();
    let begin = match characters.next() {
        None => return String::new(),
        Some(first) if is_word => first.to_ascii_uppercase(),
        Some(first) => first,
    };
    let stop = if message.ends_with(['.', '!', '?', '…', ':']) {
        ""
    } else {
        "."
    };
    format!("{begin}{}{stop}", characters.as_str())
}
