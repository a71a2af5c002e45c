//! The figures of a status: those of the moment, and those of the last word of the destination's mover.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{MirrorJobStatus, Progress, SelectedTransport, TransportStatus};
use blit_crds::outcome::TerminationMessage;
use blit_proto::v2::ProgressUpdate;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Puts the figures of the moment into a status.
pub(super) fn live(
    job: &MirrorJob,
    update: &ProgressUpdate,
    now: Timestamp,
    status: &mut MirrorJobStatus,
) {
    if update.phase == "waiting" {
        return;
    }
    let total = update.scan_complete.then_some(update.bytes_total);
    let percent = total.map(|total| share(update.bytes_done, total, 99));
    let rate = update.bytes_per_second;
    let left = total.map(|total| total.saturating_sub(update.bytes_done));
    let progress = Progress {
        percent,
        files_done: count(update.files_done),
        files_total: update.scan_complete.then_some(count(update.files_total)),
        bytes_done: count(update.bytes_done),
        bytes_total: total.map(count),
        files_deleted: count(update.files_deleted),
        files_failed: count(update.files_failed),
        metadata_not_kept: update
            .metadata_not_kept
            .iter()
            .map(|(kind, number)| (kind.clone(), count(*number)))
            .collect(),
        bytes_per_second: Some(count(rate)),
        eta_seconds: left
            .filter(|_| rate > 0)
            .map(|left| count(left.div_ceil(rate))),
        scan_complete: update.scan_complete,
        display: display(percent, update.bytes_done),
        rate: if rate > 0 {
            format!("{}/s", binary(rate))
        } else {
            String::new()
        },
    };
    let advanced = status.progress.as_ref().is_none_or(|before| {
        (before.files_done, before.bytes_done, before.files_deleted)
            != (
                progress.files_done,
                progress.bytes_done,
                progress.files_deleted,
            )
    });
    if advanced {
        status.last_progress_time = Some(Time(now));
    }
    status.progress = Some(progress);
    live_transport(job, update, status);
}

/// Returns how far an attempt came, from its last word. One that is `complete` is at 100 %, whatever its counters say:
/// holes are never copied.
pub(super) fn last(message: &TerminationMessage, complete: bool) -> Progress {
    let percent = if complete {
        Some(100)
    } else {
        message
            .bytes_total
            .map(|total| share(message.bytes_copied, total, 100))
    };
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
        display: display(percent, message.bytes_copied),
        rate: String::new(),
    }
}

/// Says how the data of a job travelled, as its last word tells. What was heard before knows more.
pub(super) fn last_transport(
    job: &MirrorJob,
    message: &TerminationMessage,
    status: &mut MirrorJobStatus,
) {
    let Some(selected) = message.transport else {
        return;
    };
    match &mut status.transport {
        Some(known) => known.selected = selected,
        None => status.transport = Some(transport(job, selected, false)),
    }
}

fn live_transport(_job: &MirrorJob, _update: &ProgressUpdate, _status: &mut MirrorJobStatus) {}

fn transport(job: &MirrorJob, selected: SelectedTransport, zero_copy: bool) -> TransportStatus {
    TransportStatus {
        selected,
        encryption: job.spec.transport.encryption,
        zero_copy,
        tried: Vec::new(),
    }
}

/// Kubernetes has no unsigned integers.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A share in percent, at most `most`: a run at 99 % still has links, times and deletions before it.
fn share(done: u64, total: u64, most: i32) -> i32 {
    let total = u128::from(total).max(1);
    let done = u128::from(done).min(total);
    i32::try_from(done * 100 / total).unwrap_or(most).min(most)
}

fn display(percent: Option<i32>, bytes: u64) -> String {
    match percent {
        Some(percent) => format!("{percent}%"),
        None => binary(bytes),
    }
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
