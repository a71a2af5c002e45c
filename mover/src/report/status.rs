//! Figures as the status of a MirrorJob shows them. Pure.

use std::collections::BTreeMap;

use blit_crds::mirrorjob::{FailedFile, Progress, TransportKind, TriedTransport};
use blit_engine::entry::Escaped;
use blit_proto::v2::PushSummary;
use blit_transport::planes::Tried;

use super::figures::Figures;
use super::record::NotKept;
use super::text;

/// Data planes that could not be used, as many as a status may hold.
const TRIED: usize = 8;

/// Returns the progress of a status. A run that is `complete` is at 100 %, whatever its counters say: holes
/// in files are never written, and files that vanished are never done.
pub fn progress(
    figures: &Figures,
    not_kept: &BTreeMap<String, NotKept>,
    complete: bool,
) -> Progress {
    let percent = if complete {
        Some(100)
    } else {
        figures.percent()
    };
    Progress {
        percent: percent.map(i32::from),
        files_done: signed(figures.files_done),
        files_total: figures.files_total.map(signed),
        bytes_done: signed(figures.bytes_done),
        bytes_total: figures.bytes_total.map(signed),
        files_deleted: signed(figures.files_deleted),
        files_failed: signed(figures.files_failed),
        metadata_not_kept: not_kept
            .iter()
            .map(|(k, v)| (k.clone(), signed(v.count)))
            .collect(),
        bytes_per_second: figures.bytes_per_second.map(signed),
        eta_seconds: figures.eta_seconds.filter(|_| !complete).map(signed),
        scan_complete: figures.scan_complete,
        display: match percent {
            Some(percent) => format!("{percent}%"),
            None => text::display(figures),
        },
        rate: figures.bytes_per_second.map(text::rate).unwrap_or_default(),
    }
}

/// Returns an entry that failed as a status names it: escaped, and within the bounds of the schema.
pub fn failed_file(path: &[u8], message: &str) -> FailedFile {
    FailedFile {
        path: cut(Escaped(path).to_string(), 512),
        error: cut(Escaped(message.as_bytes()).to_string(), 256),
    }
}

/// Returns a data plane that could not be used as a status names it; `None` for one that is not known.
pub fn tried(plane: &str, reason: &str) -> Option<TriedTransport> {
    let kind = match plane {
        "TCP" => TransportKind::Tcp,
        "GRPC" => TransportKind::Grpc,
        _ => return None,
    };
    Some(TriedTransport {
        kind,
        reason: cut(Escaped(reason.as_bytes()).to_string(), 256),
    })
}

/// Returns the data planes of a session that could not be used.
pub fn all_tried(all: &[Tried]) -> Vec<TriedTransport> {
    let tried = all.iter().map(|one| tried(one.plane.as_str(), &one.reason));
    tried.flatten().take(TRIED).collect()
}

/// Returns the data planes that could not be used, as the other side of a session said at its end.
pub fn tried_of(told: &PushSummary) -> Vec<TriedTransport> {
    let tried = told.tried.iter().map(|one| tried(&one.kind, &one.reason));
    tried.flatten().take(TRIED).collect()
}

/// Adds data planes that could not be used and are not known yet, as long as there is room.
pub fn add_tried(known: &mut Vec<TriedTransport>, more: impl IntoIterator<Item = TriedTransport>) {
    for tried in more {
        if known.len() < TRIED && !known.contains(&tried) {
            known.push(tried);
        }
    }
}

fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let mut end = bytes - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Kubernetes has no unsigned integers.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
