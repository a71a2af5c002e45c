//! The figures of a status: those of the moment, and those of the last word of the destination's mover.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{
    FailedFile, MirrorJobStatus, Plan, Progress, SelectedTransport, TransportKind, TransportStatus,
    TriedTransport,
};
use blit_crds::outcome::TerminationMessage;
use blit_proto::v2::{PlaneTried, ProgressUpdate};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How many entries that failed a status names.
const MAX_FAILED_FILES: usize = 20;

/// How many data planes that could not be used a status names.
const MAX_TRIED: usize = 8;

/// Longest reason of one of them, in characters, as in the schema.
const MAX_TRIED_REASON: usize = 256;

/// How late a figure may come: movers tell them once a second.
const LATENESS: SignedDuration = SignedDuration::from_secs(5);

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
    // The mover knows what is left beside bytes; 100 % is said when the job is complete, and not before.
    let percent = update
        .percent
        .and_then(|percent| i32::try_from(percent.min(99)).ok())
        .filter(|_| update.scan_complete);
    let rate = update.bytes_per_second;
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
        eta_seconds: update.eta_seconds.map(count),
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
    let idle = SignedDuration::try_from_secs_f64(update.idle_seconds).unwrap_or_default();
    let idle = idle.max(SignedDuration::ZERO);
    // What moves need not stand in a status, as when both movers read a file to compare it.
    if let Ok(moved) = now.checked_sub(idle)
        && (advanced || is_later(moved, status.last_progress_time.as_ref()))
    {
        status.last_progress_time = Some(Time(moved));
    }
    status.progress = Some(progress);
    status.failed_files = update
        .failed_entries
        .iter()
        .take(MAX_FAILED_FILES)
        .map(|entry| FailedFile {
            path: cut(&entry.path, 512),
            error: cut(&entry.error, 256),
        })
        .collect();
    let selected = match update.transport.as_str() {
        "Local" => SelectedTransport::Local,
        "TCP" => SelectedTransport::Tcp,
        "GRPC" => SelectedTransport::Grpc,
        "RDMA" => SelectedTransport::Rdma,
        _ => return,
    };
    let tried = update.tried.iter().filter_map(tried).take(MAX_TRIED);
    status.transport = Some(TransportStatus {
        tried: tried.collect(),
        ..transport(job, selected, update.zero_copy)
    });
}

/// Returns true if a time is later than one that is known, by more than what a figure can be late on its way.
fn is_later(moved: Timestamp, known: Option<&Time>) -> bool {
    known.is_none_or(|known| moved.duration_since(known.0) >= LATENESS)
}

/// Returns a data plane that a mover could not use.
fn tried(tried: &PlaneTried) -> Option<TriedTransport> {
    let kind = match tried.kind.as_str() {
        "TCP" => TransportKind::Tcp,
        "GRPC" => TransportKind::Grpc,
        "RDMA" => TransportKind::Rdma,
        _ => return None,
    };
    Some(TriedTransport {
        kind,
        reason: cut(&tried.reason, MAX_TRIED_REASON),
    })
}

/// Returns how far an attempt came, from its last word. One that is `complete` is at 100 %, whatever its counters say:
/// holes are never copied.
pub(super) fn last(message: &TerminationMessage, complete: bool) -> Progress {
    let percent = if complete {
        Some(100)
    } else {
        message
            .bytes_total
            .map(|total| share(message.bytes_copied, total))
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

/// Returns what a dry run found to do, from its last word.
pub(super) fn plan(message: &TerminationMessage) -> Plan {
    Plan {
        files_to_copy: count(message.files_copied),
        bytes_to_copy: count(message.bytes_copied),
        files_to_delete: count(message.files_deleted),
        metadata_to_repair: count(message.metadata_repaired),
        files_unchanged: count(message.files_unchanged),
    }
}

/// Says how the data of a job travelled, as the last word of its destination tells, and why not otherwise, as those of both
/// movers do: an attempt can be over before anything was heard of it.
pub(super) fn last_transport(
    job: &MirrorJob,
    message: &TerminationMessage,
    source: Option<&TerminationMessage>,
    status: &mut MirrorJobStatus,
) {
    let Some(selected) = message.transport else {
        return;
    };
    let mut known = transport(job, selected, message.zero_copy);
    let told = [Some(message), source].into_iter().flatten();
    for tried in told.flat_map(|message| &message.tried) {
        let tried = TriedTransport {
            kind: tried.kind,
            reason: cut(&tried.reason, MAX_TRIED_REASON),
        };
        if known.tried.len() < MAX_TRIED && !known.tried.contains(&tried) {
            known.tried.push(tried);
        }
    }
    status.transport = Some(known);
}

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

/// A share in percent.
fn share(done: u64, total: u64) -> i32 {
    let total = u128::from(total).max(1);
    let done = u128::from(done).min(total);
    i32::try_from(done * 100 / total).unwrap_or(100)
}

/// A text of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
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
