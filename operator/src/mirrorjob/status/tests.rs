use blit_crds::mirrorjob::{SelectedTransport, TransportKind, TriedTransport};
use blit_crds::outcome::{ExitCode, Guard, TerminationMessage};
use blit_crds::parse_manifest;

use super::*;
use crate::mirrorjob::attempt::Running;

mod any_update;
mod attempts;

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
    MoverState::Running(Running {
        node: node.to_owned(),
        ..Running::default()
    })
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
        message: Some(Box::new(TerminationMessage::new(side, code, cause))),
        ..Ended::default()
    }
}

/// Shows a stage to a job, and lets the job keep the status.
fn show(job: &mut MirrorJob, second: i64, stage: Stage) -> MirrorJobStatus {
    let observed = Observed {
        now: at(second),
        stage,
        heard: None,
        ends: Default::default(),
    };
    let status = of(job, &observed);
    job.status = Some(status.clone());
    status
}

fn idle() -> Stage {
    Stage::Idle {
        wait: None,
        queue_position: None,
    }
}

/// Shows the movers of an attempt, which begins if it did not yet.
fn see(
    job: &mut MirrorJob,
    attempt: u32,
    source: MoverState,
    destination: MoverState,
) -> MirrorJobStatus {
    let second = 1_000 + i64::from(attempt);
    let known = job
        .status
        .as_ref()
        .map_or(0, |status| status.attempts_total);
    if known < i32::try_from(attempt).unwrap() {
        show(job, second, Stage::Begin);
    }
    let stage = match (source, destination) {
        (MoverState::Ended(source), MoverState::Ended(destination)) => Stage::Ended {
            source,
            destination,
            verdict: None,
        },
        (MoverState::Absent, MoverState::Ended(destination)) => Stage::Ended {
            source: Ended::default(),
            destination,
            verdict: None,
        },
        (source, destination) => Stage::Open {
            source,
            destination,
            wait: None,
        },
    };
    show(job, second, stage)
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
    let status = show(&mut job(), 1_000, idle());
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
    let waiting = MoverState::Waiting(Some(Wait {
        reason: Reason::Unschedulable,
        message: "no node".to_owned(),
    }));
    let status = see(&mut job, 1, MoverState::Absent, waiting);
    assert_eq!(
        status.waiting_for.as_deref(),
        Some("Unschedulable: no node")
    );
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
fn a_share_is_told_only_when_the_scan_is_complete_and_stays_below_all_before_the_end() {
    let mut job = job();
    show(&mut job, 1, Stage::Begin);
    let figures = |scan_complete, bytes_done, phase: &str| {
        let update = ProgressUpdate {
            phase: phase.to_owned(),
            scan_complete,
            bytes_done,
            bytes_total: 200,
            bytes_per_second: 10,
            percent: scan_complete.then_some(u32::try_from(bytes_done / 2).unwrap()),
            eta_seconds: Some(12),
            ..ProgressUpdate::default()
        };
        let observed = Observed {
            now: at(2),
            stage: Stage::Open {
                source: running("n1"),
                destination: running("n2"),
                wait: None,
            },
            heard: Some(Heard::Figures(Box::new(update))),
            ends: Default::default(),
        };
        let status = of(&job, &observed);
        (status.phase, status.progress.unwrap())
    };
    let (phase, progress) = figures(false, 83, "copy");
    assert_eq!((phase, progress.percent), (Phase::Running, None));
    assert_eq!(
        (progress.display.as_str(), progress.bytes_total),
        ("83 B", None)
    );
    let (_, progress) = figures(true, 83, "copy");
    assert_eq!(
        (progress.display.as_str(), progress.eta_seconds),
        ("41%", Some(12))
    );
    let (phase, progress) = figures(true, 200, "delete");
    assert_eq!((phase, progress.percent), (Phase::Deleting, Some(99)));
}

#[test]
fn what_moves_without_a_figure_of_the_status_is_progress_and_idle_time_is_none() {
    let mut status = MirrorJobStatus::default();
    let mut last = |now: i64, idle_seconds: f64| {
        let update = ProgressUpdate {
            phase: "copy".to_owned(),
            files_done: 3,
            idle_seconds,
            ..ProgressUpdate::default()
        };
        figures::live(&job(), &update, at(now), &mut status);
        let moved = status.last_progress_time.as_ref().unwrap().0;
        moved.as_second()
    };
    assert_eq!(last(1_000, 0.0), 1_000);
    // The mover hashes, or its source does.
    assert_eq!(last(1_060, 1.0), 1_059);
    // Nothing moves; each figure comes later or earlier than the one before.
    for (now, idle) in [(1_100, 40.0), (1_200, 141.5), (1_300, 239.1)] {
        assert_eq!(last(now, idle), 1_059, "{now}");
    }
}

#[test]
fn a_suspended_job_without_pods_is_suspended() {
    let mut job = job();
    job.spec.suspend = true;
    let status = show(&mut job, 1_000, idle());
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
    let stage = Stage::Open {
        source: running("n1"),
        destination: running("n2"),
        wait: None,
    };
    let status = show(&mut job, 2_000, stage);
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
    assert_eq!(show(&mut job, 2_000, idle()), complete);
}

#[test]
fn an_unfinished_scan_shows_bytes_instead_of_a_share() {
    let message = |bytes: u64| TerminationMessage {
        bytes_copied: bytes,
        ..TerminationMessage::new(Side::Destination, ExitCode::Stalled, "")
    };
    let display = |bytes| figures::last(&message(bytes), false).display;
    assert_eq!(display(0), "0 B");
    assert_eq!(display(1023), "1023 B");
    assert_eq!(display(1536), "1.5 KiB");
    assert_eq!(display(13_207_024_436), "12.3 GiB");
    assert_eq!(display(u64::MAX), "15.9 EiB");
    let known = TerminationMessage {
        bytes_total: Some(200),
        ..message(83)
    };
    assert_eq!(figures::last(&known, false).display, "41%");
}

/// The end of an attempt in which the operator deleted a source that hung, after its destination had ended so.
fn killed_source(destination: ExitCode) -> Stage {
    Stage::Ended {
        source: Ended {
            exit_code: Some(137),
            killed: Some(Reason::PodDisrupted),
            ..Ended::default()
        },
        destination: ended(Side::Destination, destination),
        verdict: None,
    }
}

#[test]
fn what_a_mover_said_is_stronger_than_what_became_of_the_other_one() {
    let mut job = job();
    show(&mut job, 1, Stage::Begin);
    let status = show(
        &mut job.clone(),
        2,
        killed_source(ExitCode::DestinationFull),
    );
    assert_eq!(status.failure.unwrap().reason, "DestinationFull");
    let status = show(&mut job, 2, killed_source(ExitCode::PeerUnreachable));
    assert_eq!(status.failure.unwrap().reason, "PodDisrupted");
}

#[test]
fn a_source_that_could_not_be_made_in_time_does_not_count() {
    let mut job = job();
    show(&mut job, 1, Stage::Begin);
    let wait = Wait {
        reason: Reason::QuotaExceeded,
        message: "no room".to_owned(),
    };
    let open = Stage::Open {
        source: MoverState::Absent,
        destination: running("n1"),
        wait: Some(wait),
    };
    show(&mut job, 2, open);
    let end = Stage::Ended {
        source: Ended::default(),
        destination: ended(Side::Destination, ExitCode::PeerUnreachable),
        verdict: None,
    };
    let status = show(&mut job, 3, end);
    assert_eq!(status.attempts[0].reason.as_deref(), Some("QuotaExceeded"));
    assert_eq!(
        (status.phase, history::failures(&status)),
        (Phase::Preparing, 0)
    );
}

/// A data plane that could not be used.
fn no_tcp(reason: &str) -> TriedTransport {
    TriedTransport {
        kind: TransportKind::Tcp,
        reason: reason.to_owned(),
    }
}

#[test]
fn a_data_plane_that_could_not_be_used_is_known_from_the_last_word_alone() {
    let mut destination = ended(Side::Destination, ExitCode::Complete);
    let word = destination.message.as_mut().unwrap();
    word.transport = Some(SelectedTransport::Grpc);
    word.tried.push(no_tcp("no answer"));
    let mut source = ended(Side::Source, ExitCode::Complete);
    source.message.as_mut().unwrap().tried = word.tried.clone();
    let (source, destination) = (MoverState::Ended(source), MoverState::Ended(destination));
    let status = see(&mut job(), 1, source, destination);
    let transport = status.transport.unwrap();
    assert_eq!(transport.selected, SelectedTransport::Grpc);
    assert_eq!(transport.tried, [no_tcp("no answer")]);
}

#[test]
fn a_job_that_may_not_fall_back_fails_with_the_words_of_the_mover_that_dialled() {
    let mut source = ended(Side::Source, ExitCode::PeerUnreachable);
    let word = source.message.as_mut().unwrap();
    word.message = "no answer from 10.1.2.3:9032".to_owned();
    word.transport_unavailable = true;
    word.tried.push(no_tcp("no answer"));
    let mut destination = ended(Side::Destination, ExitCode::PeerUnreachable);
    let word = destination.message.as_mut().unwrap();
    word.transport = Some(SelectedTransport::Tcp);
    let (source, destination) = (MoverState::Ended(source), MoverState::Ended(destination));
    let status = see(&mut job(), 1, source, destination);
    assert_eq!((status.phase, status.attempts_total), (Phase::Failed, 1));
    let failure = status.failure.unwrap();
    assert_eq!(failure.reason, "TransportUnavailable");
    assert_eq!(failure.message, "no answer from 10.1.2.3:9032");
    assert_eq!(failure.exit_code, Some(30));
    let transport = status.transport.unwrap();
    assert_eq!(transport.tried, [no_tcp("no answer")]);
    assert_eq!(transport.given_up().count(), 0, "nothing is used instead");
}
