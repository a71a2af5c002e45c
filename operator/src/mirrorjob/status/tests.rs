use blit_crds::outcome::Guard;
use blit_crds::parse_manifest;

use super::*;

fn job() -> MirrorJob {
    let mut job = parse_manifest(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {name: a}\nspec:\n  \
         operation: Mirror\n  source: {persistentVolumeClaim: {claimName: raw}}\n  \
         destination: {persistentVolumeClaim: {claimName: copy}}\n  backoffLimit: 2\n",
    )
    .unwrap();
    job.metadata.generation = Some(1);
    job
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn running(node: &str) -> MoverState {
    MoverState::Running {
        node: node.to_owned(),
    }
}

/// A mover that ended with this code and said so.
fn ended(side: Side, code: ExitCode) -> Ended {
    let cause = if code == ExitCode::Complete {
        ""
    } else {
        "the cause"
    };
    Ended {
        node: Some("n1".to_owned()),
        exit_code: Some(code.code().into()),
        message: Some(TerminationMessage::new(side, code, cause)),
        killed: None,
    }
}

/// Shows an observation to a job, and lets the job keep the status.
fn see(
    job: &mut MirrorJob,
    attempt: u32,
    source: MoverState,
    destination: MoverState,
) -> MirrorJobStatus {
    let now = at(1_000 + i64::from(attempt));
    let status = of(
        job,
        &Observed {
            now,
            attempt,
            source,
            destination,
        },
    );
    job.status = Some(status.clone());
    status
}

/// Shows the end of an attempt with these exit codes.
fn see_end(
    job: &mut MirrorJob,
    attempt: u32,
    source: ExitCode,
    destination: ExitCode,
) -> MirrorJobStatus {
    let source = MoverState::Ended(ended(Side::Source, source));
    let destination = MoverState::Ended(ended(Side::Destination, destination));
    see(job, attempt, source, destination)
}

/// Status and reason of a condition.
fn condition(status: &MirrorJobStatus, type_: &str) -> (String, String) {
    let found = status
        .conditions
        .iter()
        .find(|known| known.type_ == type_)
        .unwrap();
    (found.status.clone(), found.reason.clone())
}

fn holds(status: &MirrorJobStatus, type_: &str) -> bool {
    condition(status, type_).0 == "True"
}

#[test]
fn a_new_job_is_pending_and_every_condition_is_unknown_but_suspended() {
    let status = see(&mut job(), 0, MoverState::Absent, MoverState::Absent);
    assert_eq!(status.phase, Phase::Pending);
    assert_eq!(status.start_time, None);
    assert_eq!(status.conditions.len(), 9);
    for known in status
        .conditions
        .iter()
        .filter(|known| known.type_ != "Suspended")
    {
        assert_eq!(
            (known.status.as_str(), known.observed_generation),
            ("Unknown", Some(1))
        );
        assert!(!known.reason.is_empty());
    }
    assert_eq!(status.source.unwrap().display, "pvc/raw:/");
}

#[test]
fn a_job_goes_through_its_phases_to_complete() {
    let mut job = job();
    let mut phase = |source, destination| see(&mut job, 1, source, destination).phase;
    use MoverState::{Absent, Waiting};
    assert_eq!(phase(Absent, Waiting(None)), Phase::Preparing);
    assert_eq!(phase(Absent, running("n2")), Phase::Preparing);
    assert_eq!(phase(Waiting(None), running("n2")), Phase::Preparing);
    assert_eq!(phase(running("n1"), running("n2")), Phase::Running);
    let source = MoverState::Ended(ended(Side::Source, ExitCode::Complete));
    assert_eq!(phase(source, running("n2")), Phase::Running);
    let status = see_end(&mut job, 1, ExitCode::Complete, ExitCode::Complete);
    assert_eq!(status.phase, Phase::Complete);
    assert!(holds(&status, "Complete") && holds(&status, "Ready"));
    assert!(!holds(&status, "Failed") && !holds(&status, "Progressing"));
    assert_eq!(status.completion_time, Some(Time(at(1_001))));
    assert_eq!(status.progress.unwrap().display, "100%");
    assert_eq!(status.failure, None);
}

#[test]
fn nothing_is_decided_while_a_pod_still_runs() {
    let mut job = job();
    let destination = MoverState::Ended(ended(Side::Destination, ExitCode::Complete));
    let status = see(&mut job, 1, running("n1"), destination);
    assert_eq!(
        (status.phase, status.completion_time.clone()),
        (Phase::Running, None)
    );
    assert!(!holds(&status, "Complete"));
}

#[test]
fn what_a_mover_waits_for_is_shown() {
    let mut job = job();
    let waiting = MoverState::Waiting(Some(Reason::Unschedulable));
    let status = see(&mut job, 1, MoverState::Absent, waiting);
    assert_eq!(status.waiting_for.as_deref(), Some("Unschedulable"));
    assert_eq!(
        condition(&status, "Progressing"),
        ("False".into(), "Unschedulable".into())
    );
    let status = see(&mut job, 1, running("n1"), running("n2"));
    assert_eq!(status.waiting_for, None);
}

#[test]
fn a_terminal_cause_fails_the_job_with_the_words_of_the_mover_that_knows() {
    let mut job = job();
    let mut destination = ended(Side::Destination, ExitCode::GuardRefused);
    destination.message.as_mut().unwrap().guard = Some(Guard::SourceEmpty);
    let source = ended(Side::Source, ExitCode::PeerUnreachable);
    let status = see(
        &mut job,
        1,
        MoverState::Ended(source),
        MoverState::Ended(destination),
    );
    assert_eq!(status.phase, Phase::Failed);
    assert_eq!(
        condition(&status, "Failed"),
        ("True".into(), "SourceEmpty".into())
    );
    let failure = status.failure.unwrap();
    assert_eq!(
        (failure.message.as_str(), failure.exit_code),
        ("the cause", Some(12))
    );
}

#[test]
fn a_source_that_failed_first_explains_the_attempt() {
    let status = see_end(
        &mut job(),
        1,
        ExitCode::PermissionDenied,
        ExitCode::PeerUnreachable,
    );
    assert_eq!(status.failure.unwrap().reason, "PermissionDenied");
}

#[test]
fn a_destination_that_fails_before_there_is_a_source_is_heard() {
    let destination = MoverState::Ended(ended(Side::Destination, ExitCode::PermissionDenied));
    let status = see(&mut job(), 1, MoverState::Absent, destination);
    assert_eq!(status.phase, Phase::Failed);
}

#[test]
fn attempts_are_repeated_until_the_limit() {
    let mut job = job();
    for attempt in 1..=2 {
        let status = see_end(
            &mut job,
            attempt,
            ExitCode::PeerUnreachable,
            ExitCode::Stalled,
        );
        assert_eq!(
            (status.phase, status.completion_time),
            (Phase::Preparing, None)
        );
    }
    let status = see_end(&mut job, 3, ExitCode::PeerUnreachable, ExitCode::Stalled);
    assert_eq!(status.phase, Phase::Failed);
    let failure = status.failure.unwrap();
    assert_eq!(failure.reason, "BackoffLimitExceeded");
    assert_eq!(
        failure.message,
        "3 attempts failed, the last with Stalled: the cause"
    );
    assert_eq!((status.attempts.len(), status.attempts_total), (3, 3));
}

#[test]
fn an_attempt_is_recorded_once_however_often_its_end_is_seen() {
    let mut job = job();
    let once = see_end(&mut job, 1, ExitCode::PeerUnreachable, ExitCode::Stalled);
    let twice = see_end(&mut job, 1, ExitCode::PeerUnreachable, ExitCode::Stalled);
    assert_eq!(once, twice);
}

#[test]
fn an_attempt_that_moved_data_resets_the_count() {
    let mut job = job();
    for attempt in 1..=12 {
        let mut destination = ended(Side::Destination, ExitCode::Stalled);
        destination.message.as_mut().unwrap().bytes_copied = u64::from(attempt % 2);
        let source = MoverState::Ended(ended(Side::Source, ExitCode::PeerUnreachable));
        let status = see(&mut job, attempt, source, MoverState::Ended(destination));
        assert_eq!(status.phase, Phase::Preparing, "attempt {attempt}");
    }
    let status = job.status.unwrap();
    assert_eq!((status.attempts.len(), status.attempts_total), (10, 12));
}

#[test]
fn attempts_beyond_those_remembered_count() {
    let mut job = job();
    job.spec.backoff_limit = 12;
    for attempt in 1..=12 {
        see_end(
            &mut job,
            attempt,
            ExitCode::PeerUnreachable,
            ExitCode::Stalled,
        );
    }
    assert_eq!(job.status.as_ref().unwrap().phase, Phase::Preparing);
    let status = see_end(&mut job, 13, ExitCode::PeerUnreachable, ExitCode::Stalled);
    assert_eq!(status.phase, Phase::Failed);
}

#[test]
fn disruptions_do_not_count() {
    let mut job = job();
    for attempt in 1..=5 {
        let mut source = ended(Side::Source, ExitCode::Interrupted);
        source.killed = Some(Reason::PodDisrupted);
        let destination = ended(Side::Destination, ExitCode::PeerUnreachable);
        let status = see(
            &mut job,
            attempt,
            MoverState::Ended(source),
            MoverState::Ended(destination),
        );
        assert_eq!(status.phase, Phase::Preparing);
        assert_eq!(status.failure.unwrap().reason, "PodDisrupted");
    }
}

#[test]
fn a_mover_that_left_no_code_is_explained_by_what_killed_it() {
    let source = Ended {
        exit_code: Some(137),
        killed: Some(Reason::OomKilled),
        ..Ended::default()
    };
    let destination = ended(Side::Destination, ExitCode::PeerUnreachable);
    let status = see(
        &mut job(),
        1,
        MoverState::Ended(source),
        MoverState::Ended(destination),
    );
    let failure = status.failure.unwrap();
    assert_eq!(failure.reason, "OOMKilled");
    assert!(
        failure
            .message
            .starts_with("a mover used more memory than its limit")
    );
}

#[test]
fn a_suspended_job_without_pods_is_suspended() {
    let mut job = job();
    job.spec.suspend = true;
    let status = see(&mut job, 1, MoverState::Absent, MoverState::Absent);
    assert_eq!(status.phase, Phase::Suspended);
    assert!(holds(&status, "Suspended"));
    let status = see(&mut job, 1, running("n1"), running("n2"));
    assert!(!holds(&status, "Suspended"), "its pods still run");
}

#[test]
fn what_could_not_be_kept_is_a_condition_of_a_complete_job() {
    let mut job = job();
    let mut destination = ended(Side::Destination, ExitCode::Complete);
    destination
        .message
        .as_mut()
        .unwrap()
        .not_kept
        .insert("owner".to_owned(), 12);
    let source = MoverState::Ended(ended(Side::Source, ExitCode::Complete));
    let status = see(&mut job, 1, source, MoverState::Ended(destination));
    assert_eq!(status.phase, Phase::Complete);
    assert_eq!(
        condition(&status, "MetadataPreserved"),
        ("False".into(), "NotKept".into())
    );
}

#[test]
fn a_condition_keeps_the_time_of_its_last_transition() {
    let mut job = job();
    see(&mut job, 1, running("n1"), running("n2"));
    let status = see(&mut job, 2, running("n1"), running("n2"));
    let progressing = status
        .conditions
        .iter()
        .find(|known| known.type_ == "Progressing")
        .unwrap();
    assert_eq!(progressing.last_transition_time, Time(at(1_001)));
}

#[test]
fn a_job_that_is_over_does_not_change_any_more() {
    let mut job = job();
    let complete = see_end(&mut job, 1, ExitCode::Complete, ExitCode::Complete);
    assert_eq!(
        see(&mut job, 1, MoverState::Absent, MoverState::Absent),
        complete
    );
}

#[test]
fn an_unfinished_scan_shows_bytes_instead_of_a_share() {
    let message = |bytes: u64| TerminationMessage {
        bytes_copied: bytes,
        ..TerminationMessage::new(Side::Destination, ExitCode::Stalled, "")
    };
    let display = |bytes| figures::progress(&message(bytes), false).display;
    assert_eq!(display(0), "0 B");
    assert_eq!(display(1023), "1023 B");
    assert_eq!(display(1536), "1.5 KiB");
    assert_eq!(display(13_207_024_436), "12.3 GiB");
    assert_eq!(display(u64::MAX), "15.9 EiB");
    let known = TerminationMessage {
        bytes_total: Some(200),
        ..message(83)
    };
    assert_eq!(figures::progress(&known, false).display, "41%");
}
