//! The last word of a mover, as its pod keeps it: counts and a cause, and no name of a file.

use blit_crds::mirrorjob::{SelectedTransport, Side};
use blit_crds::outcome::{ExitCode, Guard, Reason, TerminationMessage};

use super::record::SummaryRecord;

/// Returns the last word of the mover that ended with `summary`. `cause` is what ended it, where that names
/// nothing below a root; else the exit code has to speak for itself.
pub fn message(
    side: Side,
    transport: SelectedTransport,
    summary: &SummaryRecord,
    cause: Option<&str>,
) -> TerminationMessage {
    let code = summary.code();
    TerminationMessage {
        guard: summary.guard.as_ref().and_then(|guard| rule(&guard.reason)),
        files_total: summary.files_total,
        files_copied: summary.files_copied,
        files_unchanged: summary.files_unchanged,
        files_deleted: summary.files_deleted,
        files_failed: summary.files_failed,
        bytes_total: summary.bytes_total,
        bytes_copied: summary.bytes_copied,
        bytes_done: summary.bytes_done,
        metadata_repaired: summary.metadata_repaired,
        deletions_withheld: summary.deletions_withheld,
        not_kept: summary
            .not_kept
            .iter()
            .map(|(kind, found)| (kind.clone(), found.count))
            .collect(),
        transport: (side == Side::Destination).then_some(transport),
        zero_copy: summary.zero_copy_share.is_some_and(|share| share > 0.0),
        duration_seconds: summary.duration_seconds,
        ..TerminationMessage::new(side, code, public(code, summary, cause))
    }
}

/// What may be said in public: the message of the summary can name files.
fn public(code: ExitCode, summary: &SummaryRecord, cause: Option<&str>) -> String {
    match (code, &summary.guard, cause) {
        (ExitCode::Complete, ..) => String::new(),
        (ExitCode::GuardRefused, Some(guard), _) => guard.message.clone(),
        (_, _, Some(cause)) => cause.to_owned(),
        (_, _, None) => format!("{}; {}", code.meaning(), code.remedy()),
    }
}

/// Returns the rule of the guard that goes by this word.
pub fn rule(reason: &str) -> Option<Guard> {
    [Guard::SourceEmpty, Guard::NothingInCommon, Guard::MaxDelete]
        .into_iter()
        .find(|rule| {
            Reason::of(ExitCode::GuardRefused, Some(*rule))
                .is_some_and(|word| word.as_str() == reason)
        })
}

#[cfg(test)]
mod tests;
