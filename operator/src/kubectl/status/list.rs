//! The list of MirrorJobs. Pure.

use blit_crds::MirrorJob;
use jiff::Timestamp;

use super::block::style;
use crate::kubectl::text::{Style, Table, Text, duration};

/// Returns one row for each job; with its namespace if they are from several.
pub(super) fn list(jobs: &[MirrorJob], everywhere: bool, now: Timestamp) -> Text {
    const HEADS: [&str; 8] = [
        "NAME",
        "SOURCE",
        "DESTINATION",
        "PHASE",
        "PROGRESS",
        "THROUGHPUT",
        "AGE",
        "REASON",
    ];
    if everywhere {
        let mut heads = ["NAMESPACE"; 9];
        heads[1..].copy_from_slice(&HEADS);
        let mut table = Table::new(0, heads);
        for job in jobs {
            let (cells, style) = cells(job, now);
            let mut row: [String; 9] = std::array::from_fn(|_| String::new());
            row[0] = job.metadata.namespace.clone().unwrap_or_default();
            row[1..].clone_from_slice(&cells);
            table.styled_row(row, 4, style);
        }
        return table.text();
    }
    let mut table = Table::new(0, HEADS);
    for job in jobs {
        let (cells, style) = cells(job, now);
        table.styled_row(cells, 3, style);
    }
    table.text()
}

fn cells(job: &MirrorJob, now: Timestamp) -> ([String; 8], Style) {
    let status = job.status.clone().unwrap_or_default();
    let progress = status.progress.unwrap_or_default();
    let age = job.metadata.creation_timestamp.as_ref();
    let age = age.map_or_else(String::new, |made| duration(now.duration_since(made.0)));
    // The word is enough here: the sentence is in the status of the one job.
    let waiting = status.waiting_for.as_deref();
    let waiting = waiting
        .and_then(|cause| cause.split_once(": "))
        .map(|(word, _)| word);
    let reason = waiting
        .map(str::to_owned)
        .or_else(|| status.failure.map(|failure| failure.reason))
        .unwrap_or_default();
    let cells = [
        job.metadata.name.clone().unwrap_or_default(),
        job.spec.source.to_string(),
        job.spec.destination.to_string(),
        format!("{:?}", status.phase),
        progress.display,
        progress.rate,
        age,
        reason,
    ];
    (cells, style(status.phase))
}
