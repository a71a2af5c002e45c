//! Figures as the control plane carries them. Pure.

use std::collections::BTreeMap;

use blit_proto::v2::ProgressUpdate;
use blit_transport::destination::RunResult;

use super::figures::{Figures, Phase};
use super::record::{SummaryRecord, Verification};
use super::relay;

/// Returns the message of the progress RPC.
pub fn progress(figures: &Figures) -> ProgressUpdate {
    let phase = match figures.phase {
        Phase::Waiting => "waiting",
        Phase::Copy => "copy",
        Phase::Delete => "delete",
        Phase::Finish => "finish",
    };
    ProgressUpdate {
        phase: phase.to_owned(),
        scan_complete: figures.scan_complete,
        files_total: figures.files_found,
        files_done: figures.files_done,
        bytes_total: figures.bytes_found,
        bytes_done: figures.bytes_done,
        files_copied: figures.files_copied,
        files_unchanged: figures.files_unchanged,
        files_deleted: figures.files_deleted,
        files_failed: figures.files_failed,
        metadata_repaired: figures.metadata_repaired,
        metadata_not_kept: figures.not_kept.clone().into_iter().collect(),
        percent: figures.percent().map(u32::from),
        eta_seconds: figures.eta_seconds,
        bytes_per_second: figures.bytes_per_second.unwrap_or(0),
        elapsed_seconds: figures.elapsed_seconds,
        bytes_compared: figures.bytes_compared,
        bytes_hashed: figures.bytes_hashed,
        ..ProgressUpdate::default()
    }
}

/// Returns what the destination tells the source at the end.
pub fn result(summary: &SummaryRecord) -> RunResult {
    let counters = [
        ("filesCopied", summary.files_copied),
        ("filesUnchanged", summary.files_unchanged),
        ("filesDeleted", summary.files_deleted),
        ("filesFailed", summary.files_failed),
        ("metadataRepaired", summary.metadata_repaired),
        ("bytesCopied", summary.bytes_copied),
        ("bytesDone", summary.bytes_done),
        ("vanished", summary.vanished),
        ("unstable", summary.unstable),
        ("deletionsWithheld", summary.deletions_withheld),
    ];
    RunResult {
        exit_code: summary.exit_code.into(),
        result: summary.result.clone(),
        message: summary.message.clone().unwrap_or_default(),
        counters: counters
            .into_iter()
            // Unknown unless the scan was complete.
            .chain(summary.files_total.map(|n| ("filesTotal", n)))
            .chain(summary.bytes_total.map(|n| ("bytesTotal", n)))
            .chain(
                summary
                    .verification
                    .map(|found| ("verified", found.compared)),
            )
            .chain(
                summary
                    .verification
                    .map(|found| ("mismatches", found.mismatches)),
            )
            .map(|(name, n)| (name.to_owned(), n))
            .collect(),
        record: Vec::new(),
    }
}

/// Returns the last event of a source, whose destination came to `summary`.
pub fn pushed(summary: &blit_proto::v2::PushSummary, own: SummaryRecord) -> SummaryRecord {
    let counters: BTreeMap<&str, u64> = summary
        .counters
        .iter()
        .map(|(name, n)| (name.as_str(), *n))
        .collect();
    let count = |name| counters.get(name).copied().unwrap_or(0);
    SummaryRecord {
        result: relay::word(&summary.result),
        exit_code: u8::try_from(summary.exit_code).unwrap_or(1),
        message: Some(summary.message.clone()).filter(|message| !message.is_empty()),
        files_copied: count("filesCopied"),
        files_unchanged: count("filesUnchanged"),
        files_deleted: count("filesDeleted"),
        files_failed: count("filesFailed"),
        metadata_repaired: count("metadataRepaired"),
        bytes_copied: count("bytesCopied"),
        bytes_done: count("bytesDone"),
        files_total: counters.get("filesTotal").copied(),
        bytes_total: counters.get("bytesTotal").copied(),
        vanished: count("vanished"),
        unstable: count("unstable"),
        verification: counters.get("verified").map(|compared| Verification {
            compared: *compared,
            mismatches: count("mismatches"),
        }),
        deletions_withheld: count("deletionsWithheld"),
        ..own
    }
}

#[cfg(test)]
mod tests;
