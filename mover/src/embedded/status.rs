//! The status of a MirrorJob that ran on this host. Pure: times and observations come in.
//!
//! Invariant: nothing is claimed that was not observed. What only a cluster has (pods, nodes of claims,
//! volumes) stays empty.

use blit_crds::mirrorjob::{
    Attempt, Destination, EndpointStatus, Failure, HostPath, MirrorJobSpec, MirrorJobStatus, Phase,
    Plan, SelectedTransport, Side, Source, TransportStatus, Verification,
};
use blit_crds::outcome::{ExitCode, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::observed::{Observed, Verdict};
use crate::report::record::{self, SummaryRecord};
use crate::report::status::progress;

/// Word of a condition that says the run is over, and well.
const COMPLETED: &str = "Completed";

/// An attempt that is over.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    /// What was asked.
    pub spec: &'a MirrorJobSpec,
    /// Generation of what was asked.
    pub generation: Option<i64>,
    /// What was observed.
    pub observed: &'a Observed,
    /// How it ended.
    pub verdict: &'a Verdict,
    /// Why, in one word; `None` if it is complete.
    pub reason: Option<Reason>,
    /// When the first mover was started.
    pub started: Timestamp,
    /// When the last mover ended.
    pub ended: Timestamp,
}

/// Returns the status after an attempt, the first and only one here.
pub(super) fn after(run: &Ended<'_>) -> MirrorJobStatus {
    let Ended {
        spec,
        generation,
        observed,
        verdict,
        reason,
        started,
        ended,
    } = *run;
    let complete = verdict.code == ExitCode::Complete;
    let summary = observed.destination.summary.as_ref();
    let not_kept = summary
        .map(|summary| summary.not_kept.clone())
        .unwrap_or_default();
    let figures = observed.figures.as_ref();
    MirrorJobStatus {
        observed_generation: generation,
        phase: if complete {
            Phase::Complete
        } else {
            Phase::Failed
        },
        start_time: Some(Time(started)),
        completion_time: Some(Time(ended)),
        last_progress_time: observed.last_progress.map(Time),
        progress: figures.map(|figures| progress(figures, &not_kept, complete)),
        verification: summary
            .and_then(|summary| summary.verification)
            .map(verification),
        plan: (summary.filter(|summary| spec.dry_run && summary.guard.is_none())).map(plan),
        transport: (figures.is_some() || !observed.tried.is_empty()).then(|| TransportStatus {
            selected: selected(summary.map(|summary| summary.transport.as_str())),
            encryption: spec.transport.encryption,
            zero_copy: summary
                .and_then(|s| s.zero_copy_share)
                .is_some_and(|share| share > 0.0),
            tried: observed.tried.clone(),
        }),
        source: Some(endpoint(
            spec.source.to_string(),
            match &spec.source {
                Source::HostPath(host) => Some(host),
                Source::PersistentVolumeClaim(_) => None,
            },
        )),
        destination: Some(endpoint(
            spec.destination.to_string(),
            match &spec.destination {
                Destination::HostPath(host) => Some(host),
                Destination::PersistentVolumeClaim(_) | Destination::Nodes(_) => None,
            },
        )),
        attempts: vec![Attempt {
            number: 1,
            start_time: Some(Time(started)),
            end_time: Some(Time(ended)),
            reason: Some(reason.map_or(COMPLETED, Reason::as_str).to_owned()),
            exit_code: Some(verdict.code.code().into()),
            node: None,
            bytes_done: figures.map_or(0, |f| i64::try_from(f.bytes_copied).unwrap_or(i64::MAX)),
        }],
        attempts_total: 1,
        failure: reason.map(|reason| Failure {
            reason: reason.to_string(),
            message: verdict.message.clone(),
            exit_code: Some(verdict.code.code().into()),
            log_tail: log_tail(observed, verdict.side),
        }),
        failed_files: observed.failed_files.clone(),
        conditions: conditions(run, summary),
        ..MirrorJobStatus::default()
    }
}

fn verification(found: record::Verification) -> Verification {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Verification {
        compared: count(found.compared),
        mismatches: count(found.mismatches),
    }
}

/// Returns what a dry run found to do.
fn plan(summary: &SummaryRecord) -> Plan {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Plan {
        files_to_copy: count(summary.files_copied),
        bytes_to_copy: count(summary.bytes_copied),
        files_to_delete: count(summary.files_deleted),
        metadata_to_repair: count(summary.metadata_repaired),
        files_unchanged: count(summary.files_unchanged),
    }
}

fn endpoint(display: String, host: Option<&HostPath>) -> EndpointStatus {
    EndpointStatus {
        display,
        node: host.map(|host| host.node_name.clone()),
        ..EndpointStatus::default()
    }
}

fn log_tail(observed: &Observed, side: Side) -> String {
    match side {
        Side::Source => observed.source.log_tail(),
        Side::Destination => observed.destination.log_tail(),
    }
}

fn conditions(run: &Ended<'_>, summary: Option<&SummaryRecord>) -> Vec<Condition> {
    let complete = run.verdict.code == ExitCode::Complete;
    let word = run.reason.map_or(COMPLETED, Reason::as_str);
    let condition = |kind: &str, status: bool, reason: &str, message: &str| Condition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: run.generation,
        last_transition_time: Time(run.ended),
    };
    let message = match complete {
        true if run.spec.dry_run => "nothing was changed; status.plan says what a run would do",
        true => "the destination is as asked",
        false => run.verdict.message.as_str(),
    };
    let mut conditions = vec![
        condition("Complete", complete, word, message),
        condition("Failed", !complete, word, message),
        condition("Ready", complete, word, message),
        condition("Progressing", false, word, "the run is over"),
    ];
    if let Some(found) = summary.and_then(|summary| summary.verification) {
        let files = found.compared;
        conditions.push(match run.verdict.code {
            ExitCode::VerificationFailed => {
                condition("Verified", false, "Mismatch", run.verdict.message.as_str())
            }
            _ => {
                let message = format!("what arrived is what was sent, of {files} files");
                condition("Verified", complete, "Proven", &message)
            }
        });
    }
    if let Some(summary) = summary {
        let lost: Vec<_> = summary
            .not_kept
            .iter()
            .map(|(kind, n)| format!("{kind}: {}", n.count))
            .collect();
        conditions.push(match lost.is_empty() {
            true => condition("MetadataPreserved", true, "Kept", "all metadata was kept"),
            false => {
                let message = format!(
                    "could not be kept, by number of entries: {}",
                    lost.join(", ")
                );
                condition("MetadataPreserved", false, "NotKept", &message)
            }
        });
    }
    conditions
}

/// Returns the plane that a summary names; before there is one it is what is tried first.
fn selected(transport: Option<&str>) -> SelectedTransport {
    match transport {
        Some("GRPC") => SelectedTransport::Grpc,
        Some("Local") => SelectedTransport::Local,
        _ => SelectedTransport::Tcp,
    }
}

#[cfg(test)]
mod tests;
