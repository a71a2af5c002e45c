//! The last word of a mover, as its pod keeps it: counts and a cause, and no name of a file.

use blit_crds::mirrorjob::{SelectedTransport, Side, TriedTransport, Verification};
use blit_crds::outcome::{ExitCode, Guard, Reason, TerminationMessage};

use super::record::SummaryRecord;

/// Returns the last word of the mover that ended with `summary`, after its content had travelled by `transport` because
/// that which was `tried` could not be used.
pub fn message(
    side: Side,
    transport: SelectedTransport,
    tried: Vec<TriedTransport>,
    summary: &SummaryRecord,
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
        verification: summary.verification.map(|found| Verification {
            compared: i64::try_from(found.compared).unwrap_or(i64::MAX),
            mismatches: i64::try_from(found.mismatches).unwrap_or(i64::MAX),
        }),
        transport_unavailable: summary.transport_unavailable,
        transport: (side == Side::Destination).then_some(transport),
        tried,
        zero_copy: summary.zero_copy_share.is_some_and(|share| share > 0.0),
        duration_seconds: summary.duration_seconds,
        ..TerminationMessage::new(side, code, public(code, summary))
    }
}

/// What may be said in public: the message of the summary can name files.
fn public(code: ExitCode, summary: &SummaryRecord) -> String {
    match (code, &summary.guard, &summary.public_message) {
        (ExitCode::Complete, ..) => String::new(),
        (ExitCode::GuardRefused, Some(guard), _) => in_a_manifest(&guard.message),
        (_, _, Some(message)) => message.clone(),
        (_, _, None) => format!("{}; {}", code.meaning(), code.remedy()),
    }
}

/// Who reads this has a manifest and no command line.
fn in_a_manifest(message: &str) -> String {
    message
        .replace("--allow-empty-source", "spec.deletion.allowEmptySource")
        .replace("--max-delete", "spec.deletion.maxDelete")
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
