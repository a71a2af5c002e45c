//! The figures of a status, from the last word of the destination's mover.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Progress, SelectedTransport, TransportStatus};
use blit_crds::outcome::TerminationMessage;

/// Returns how far an attempt came. One that is `complete` is at 100 %, whatever its counters say: holes
/// are never copied.
pub(super) fn progress(message: &TerminationMessage, complete: bool) -> Progress {
    let percent = if complete { Some(100) } else { share(message) };
    Progress {
        percent,
        files_done: count(message.files_copied.saturating_add(message.files_unchanged)),
        files_total: message.files_total.map(count),
        bytes_done: count(message.bytes_copied),
        bytes_total: message.bytes_total.map(count),
        files_deleted: count(message.files_deleted),
        files_failed: count(message.files_failed),
        metadata_not_kept: message
            .not_kept
            .iter()
            .map(|(kind, number)| (kind.clone(), count(*number)))
            .collect(),
        bytes_per_second: None,
        eta_seconds: None,
        scan_complete: message.files_total.is_some(),
        display: match percent {
            Some(percent) => format!("{percent}%"),
            None => binary(message.bytes_copied),
        },
        rate: String::new(),
    }
}

/// Returns how the data of a job travelled.
pub(super) fn transport(job: &MirrorJob, selected: SelectedTransport) -> TransportStatus {
    TransportStatus {
        selected,
        encryption: job.spec.transport.encryption,
        zero_copy: false,
        tried: Vec::new(),
    }
}

/// Kubernetes has no unsigned integers.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn share(message: &TerminationMessage) -> Option<i32> {
    let total = u128::from(message.bytes_total?).max(1);
    let done = u128::from(message.bytes_copied).min(total);
    i32::try_from(done * 100 / total).ok()
}

/// A size with one decimal and a binary unit, as `12.3 GiB`.
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (bytes.max(1).ilog2() / 10) as usize;
    if unit == 0 {
        return format!("{bytes} B");
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}
