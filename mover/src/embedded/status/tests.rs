use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use blit_crds::load_manifest;
use blit_crds::outcome::Guard;

use super::*;
use crate::report::figures::Figures;
use crate::report::record::{NotKept, Record};

const MANIFEST: &str = "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {name: x}\nspec:\n  \
                        operation: Mirror\n  source: {persistentVolumeClaim: {claimName: raw}}\n  \
                        destination: {persistentVolumeClaim: {claimName: out, path: /2026}}\n";

fn status(observed: &Observed, guard: Option<Guard>) -> MirrorJobStatus {
    let job = load_manifest(MANIFEST).unwrap();
    let verdict = observed.verdict();
    let at = |second| Timestamp::from_second(second).unwrap();
    after(&Ended {
        spec: &job.spec,
        generation: Some(3),
        observed,
        verdict: &verdict,
        reason: Reason::of(verdict.code, guard),
        started: at(100),
        ended: at(160),
    })
}

fn ended(code: i32, summary: SummaryRecord) -> Observed {
    let mut observed = Observed::default();
    let figures = Figures {
        scan_complete: true,
        files_done: 10,
        files_total: Some(10),
        bytes_copied: 4096,
        ..Figures::default()
    };
    let now = Timestamp::from_second(150).unwrap();
    observed.event(Side::Destination, &Record::Progress(figures), now);
    observed.event(Side::Destination, &Record::Summary(Box::new(summary)), now);
    observed.source.ended = Some(ExitStatus::from_raw(code << 8));
    observed.destination.ended = Some(ExitStatus::from_raw(code << 8));
    observed
}

fn condition<'a>(status: &'a MirrorJobStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|c| c.type_ == kind).unwrap()
}

#[test]
fn a_complete_run_has_a_complete_status() {
    let observed = ended(
        0,
        SummaryRecord {
            zero_copy_share: Some(0.9),
            ..Default::default()
        },
    );
    insta::assert_yaml_snapshot!(status(&observed, None));
}

#[test]
fn a_refused_run_says_why_and_that_it_is_over() {
    let message = "the source is empty";
    let mut observed = ended(
        12,
        SummaryRecord {
            message: Some(message.to_owned()),
            ..Default::default()
        },
    );
    observed.destination.log("the last words".to_owned());
    let status = status(&observed, Some(Guard::SourceEmpty));
    assert_eq!(status.phase, Phase::Failed);
    let failure = status.failure.as_ref().unwrap();
    assert_eq!(
        (failure.reason.as_str(), failure.exit_code),
        ("SourceEmpty", Some(12))
    );
    assert_eq!(
        (failure.message.as_str(), failure.log_tail.as_str()),
        (message, "the last words")
    );
    assert_eq!(condition(&status, "Complete").status, "False");
    assert_eq!(condition(&status, "Failed").status, "True");
    assert_eq!(condition(&status, "Failed").reason, "SourceEmpty");
    assert_eq!(status.attempts[0].reason.as_deref(), Some("SourceEmpty"));
}

#[test]
fn metadata_that_was_lost_is_a_condition_and_no_failure() {
    let found = NotKept {
        count: 12,
        names: vec!["a".to_owned()],
    };
    let not_kept = [("owner".to_owned(), found)].into();
    let status = status(
        &ended(
            0,
            SummaryRecord {
                not_kept,
                ..Default::default()
            },
        ),
        None,
    );
    assert_eq!(status.phase, Phase::Complete);
    let preserved = condition(&status, "MetadataPreserved");
    assert_eq!(preserved.status, "False");
    assert!(
        preserved.message.ends_with("owner: 12"),
        "{}",
        preserved.message
    );
}

#[test]
fn nothing_is_claimed_about_a_transport_that_never_was() {
    let mut observed = Observed::default();
    observed.source.ended = Some(ExitStatus::from_raw(21 << 8));
    observed.destination.ended = Some(ExitStatus::from_raw(30 << 8));
    let status = status(&observed, None);
    assert_eq!((status.transport, status.progress), (None, None));
    assert_eq!(status.failure.unwrap().reason, "PermissionDenied");
}
