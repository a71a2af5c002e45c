//! How a run ended: from the engine's summary to an exit code, a message and the last event. Pure, but for
//! the memory figure that the caller passes in.

use std::time::{Duration, Instant};

use blit_crds::outcome::{ExitCode, Guard as GuardRule, Reason};
use blit_engine::entry::Escaped;
use blit_engine::fs::{Errno, FsError};
use blit_engine::plan::guard::Refusal;
use blit_engine::run::{Fatal, SourceError, Spent, Summary};

use super::record::{Guard, NotKept, SummaryRecord, TimeSpent, Verification};
use super::reporter::totals;
use super::{differences, text};

/// What the engine does not know about a run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// When the time to the first byte begins: the start of the process, or of the session.
    pub since: Instant,
    /// `Local` or `TCP`.
    pub transport: &'static str,
    /// Content bytes that crossed the network.
    pub bytes_sent: u64,
    /// Largest resident set of this process, in bytes.
    pub peak_memory: u64,
}

/// Returns the last event of a run that the engine finished.
pub fn of_run(summary: &Summary, setting: &Setting) -> SummaryRecord {
    let exit_code = exit_code(summary);
    let figures = totals(&summary.progress);
    let guard = summary.refusal.as_ref();
    SummaryRecord {
        dry_run: summary.dry_run,
        message: message(summary, exit_code),
        public_message: public_message(summary, exit_code),
        files_total: figures.files_total,
        files_copied: figures.files_copied,
        files_unchanged: summary.progress.files_unchanged,
        files_deleted: figures.files_deleted,
        files_failed: figures.files_failed,
        metadata_repaired: summary.metadata_repaired,
        bytes_copied: figures.bytes_copied,
        bytes_done: figures.bytes_done,
        bytes_total: figures.bytes_total,
        vanished: summary.vanished,
        unstable: summary.unstable,
        verification: summary.proven.map(|proven| Verification {
            compared: proven.files + proven.failed,
            mismatches: proven.altered,
        }),
        not_kept: summary.not_kept.iter().map(not_kept).collect(),
        deletions_withheld: summary.withheld.len() as u64,
        guard: guard.map(|refusal| Guard {
            reason: reason_word(exit_code, guard_rule(refusal)),
            message: refusal.to_string(),
        }),
        duration_seconds: summary.duration.as_secs_f64(),
        seconds_to_first_byte: summary
            .first_byte
            .map(|at| at.saturating_duration_since(setting.since).as_secs_f64()),
        planning_seconds: summary.planning.map(|time| time.as_secs_f64()),
        time_spent: Some(time_spent(&summary.spent)),
        fast_path: summary.fast_path.map(|path| path.name().to_owned()),
        workers: summary.workers,
        sync_seconds: summary.sync.unwrap_or_default().as_secs_f64(),
        ..ended(exit_code, guard.map(guard_rule), setting)
    }
}

/// Returns the last event of a run that the engine never began. The message names nothing below a root,
/// because nothing there has been looked at.
pub fn of_failure(code: ExitCode, message: String, setting: &Setting) -> SummaryRecord {
    let message = with_remedy(code, message);
    SummaryRecord {
        public_message: Some(message.clone()),
        message: Some(message),
        duration_seconds: setting.since.elapsed().as_secs_f64(),
        ..ended(code, None, setting)
    }
}

/// Returns the exit code of a run: the heaviest of all that hold.
pub fn exit_code(summary: &Summary) -> ExitCode {
    let holds = |condition: bool, code| condition.then_some(code);
    let codes = [
        summary.fatal.as_ref().map(code_of_fatal),
        summary.refusal.as_ref().map(|_| ExitCode::GuardRefused),
        holds(summary.interrupted, ExitCode::Interrupted),
        holds(summary.stalled, ExitCode::Stalled),
        holds(summary.differences > 0, ExitCode::VerificationFailed),
        holds(
            summary.proven.is_some_and(|proven| proven.failed > 0),
            ExitCode::VerificationFailed,
        ),
        holds(summary.unstable > 0, ExitCode::SourceChanged),
        holds(summary.progress.files_failed > 0, ExitCode::EntriesFailed),
        holds(
            summary.strict && !summary.not_kept.is_empty(),
            ExitCode::EntriesFailed,
        ),
        holds(!summary.withheld.is_empty(), ExitCode::DeletionsWithheld),
    ];
    ExitCode::heaviest(codes.into_iter().flatten())
}

/// Returns the exit code for a failed call on the root of a tree.
pub fn code_of_root(errno: Errno) -> ExitCode {
    match errno {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ExitCode::PermissionDenied,
        Errno::NOSPC | Errno::DQUOT => ExitCode::DestinationFull,
        _ => ExitCode::OtherError,
    }
}

/// Returns how a run ended in one line, for people.
pub fn line(summary: &SummaryRecord) -> String {
    if let Some(found) = summary.differences {
        return differences::line(summary, found);
    }
    let mut parts = Vec::new();
    let verb = |done: &'static str, would: &'static str| match summary.dry_run {
        true => would,
        false => done,
    };
    if summary.files_copied > 0 {
        let size = text::bytes(summary.bytes_copied);
        parts.push(format!(
            "{} {} ({size})",
            verb("copied", "would copy"),
            text::files(summary.files_copied)
        ));
    }
    if summary.metadata_repaired > 0 {
        let entries = text::entries(summary.metadata_repaired);
        let set = verb("set", "would set");
        parts.push(format!("{set} attributes of {entries}"));
    }
    if summary.files_deleted > 0 {
        let deleted = verb("deleted", "would delete");
        parts.push(format!(
            "{deleted} {}",
            text::entries(summary.files_deleted)
        ));
    }
    if parts.is_empty() {
        parts.push(verb("changed nothing", "would change nothing").to_owned());
    }
    let mut more = Vec::new();
    for (n, what) in [
        (summary.files_unchanged, "unchanged"),
        (summary.vanished, "vanished"),
        (summary.unstable, "changed while they were read"),
        (summary.files_failed, "failed"),
    ] {
        if n > 0 {
            more.push(format!("{} {what}", text::count(n)));
        }
    }
    let took = Duration::try_from_secs_f64(summary.duration_seconds).unwrap_or_default();
    let mut line = format!("{} in {}", parts.join(", "), text::duration(took));
    if summary.bytes_copied > 0 && !summary.dry_run && summary.duration_seconds > 1.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a figure for people"
        )]
        let speed = (summary.bytes_copied as f64 / summary.duration_seconds) as u64;
        line.push_str(&format!(", {}", text::rate(speed)));
    }
    if !more.is_empty() {
        line.push_str(&format!("; {}", more.join(", ")));
    }
    line
}

fn ended(code: ExitCode, guard: Option<GuardRule>, setting: &Setting) -> SummaryRecord {
    SummaryRecord {
        result: match guard {
            Some(rule) => reason_word(code, rule),
            None => Reason::of(code, None).map_or_else(|| "Complete".to_owned(), |r| r.to_string()),
        },
        exit_code: code.code(),
        bytes_sent: setting.bytes_sent,
        peak_memory: setting.peak_memory,
        transport: setting.transport.to_owned(),
        ..SummaryRecord::default()
    }
}

fn reason_word(code: ExitCode, rule: GuardRule) -> String {
    Reason::of(code, Some(rule)).map_or_else(String::new, |reason| reason.to_string())
}

fn guard_rule(refusal: &Refusal) -> GuardRule {
    match refusal {
        Refusal::SourceEmpty => GuardRule::SourceEmpty,
        Refusal::NothingInCommon => GuardRule::NothingInCommon,
        Refusal::MaxDeleteExceeded { .. } | Refusal::OwnerLimit { .. } => GuardRule::MaxDelete,
    }
}

fn code_of_fatal(fatal: &Fatal) -> ExitCode {
    match fatal {
        Fatal::Source(SourceError::Lost(_)) => ExitCode::PeerUnreachable,
        Fatal::Source(SourceError::Root(_)) => ExitCode::PermissionDenied,
        Fatal::Source(SourceError::Nested(_)) => ExitCode::Usage,
        Fatal::DestinationFull(_) => ExitCode::DestinationFull,
        Fatal::Stalled(..) | Fatal::Deadline(_) | Fatal::Source(SourceError::Stalled(_)) => {
            ExitCode::Stalled
        }
        Fatal::Destination(FsError { errno, .. }) => code_of_root(*errno),
        Fatal::Source(SourceError::Other(_))
        | Fatal::Locked(_)
        | Fatal::ForeignState
        | Fatal::NewerAttempt(_)
        | Fatal::Replaced => ExitCode::OtherError,
    }
}

fn message(summary: &Summary, code: ExitCode) -> Option<String> {
    let remedy = code.remedy();
    Some(match (code, &summary.fatal, &summary.refusal) {
        (ExitCode::Complete, ..) => return None,
        (ExitCode::GuardRefused, _, Some(refusal)) => refusal.to_string(),
        (ExitCode::EntriesFailed, ..) if summary.progress.files_failed == 0 => {
            let kinds: Vec<_> = summary.not_kept.keys().copied().collect();
            format!(
                "not everything could be kept ({}), and --strict asks for it; run with the rights to keep it, or without --strict",
                kinds.join(", ")
            )
        }
        (ExitCode::EntriesFailed, ..) => {
            let entries = text::entries(summary.progress.files_failed);
            format!("{entries} could not be copied; {remedy}")
        }
        (ExitCode::SourceChanged, ..) => {
            let files = text::files(summary.unstable);
            format!(
                "{files} changed while being read, and the destination keeps the old version; {remedy}"
            )
        }
        (ExitCode::VerificationFailed, None, _) if summary.proven.is_some() => {
            let failed = summary.proven.map_or(0, |proven| proven.failed);
            let files = text::files(failed);
            format!(
                "what arrived of {files} was not what the source has, each time it was tried; {remedy}"
            )
        }
        (ExitCode::DeletionsWithheld, ..) => {
            let number = text::count(summary.withheld.len() as u64);
            format!(
                "deletions were withheld, because directories could not be listed ({number}); {remedy}"
            )
        }
        (ExitCode::Stalled, Some(fatal), _) if code_of_fatal(fatal) == ExitCode::Stalled => {
            fatal.to_string()
        }
        (ExitCode::Interrupted | ExitCode::Stalled, ..) => {
            format!("{}; {remedy}", code.meaning())
        }
        (_, Some(fatal), _) => with_remedy(code, fatal.to_string()),
        (_, None, _) => format!("{}; {remedy}", code.meaning()),
    })
}

/// Returns the message without what may be the name of a file.
fn public_message(summary: &Summary, code: ExitCode) -> Option<String> {
    let by_code = || format!("{}; {}", code.meaning(), code.remedy());
    match (code, &summary.fatal) {
        (ExitCode::DestinationFull | ExitCode::Stalled, _) | (_, Some(Fatal::Stalled(..))) => {
            Some(by_code())
        }
        (ExitCode::PermissionDenied | ExitCode::OtherError, Some(Fatal::Destination(error))) => {
            let message = format!("cannot write to the destination: {}", error.errno);
            Some(with_remedy(code, message))
        }
        // Words of the other side, and a path below the root.
        (_, Some(Fatal::Source(SourceError::Other(_) | SourceError::Nested(_)))) => Some(by_code()),
        _ => message(summary, code),
    }
}

/// The kernel says that something is not permitted, but not what would help.
fn with_remedy(code: ExitCode, message: String) -> String {
    match code {
        ExitCode::PermissionDenied => format!("{message}; {}", code.remedy()),
        _ => message,
    }
}

fn time_spent(spent: &Spent) -> TimeSpent {
    let seconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e6;
    TimeSpent {
        scan: seconds(spent.scan),
        read: seconds(spent.read),
        write: seconds(spent.write),
        metadata: seconds(spent.metadata),
        delete: seconds(spent.delete),
        wait: seconds(spent.wait),
    }
}

fn not_kept((kind, found): (&&'static str, &blit_engine::run::NotKept)) -> (String, NotKept) {
    let names = found
        .paths
        .iter()
        .map(|path| Escaped(path).to_string())
        .collect();
    (
        (*kind).to_owned(),
        NotKept {
            count: found.count,
            names,
        },
    )
}

#[cfg(test)]
mod tests;
