use super::*;
use crate::report::figures::Phase;
use crate::report::record::{EntryPath, Start};

fn exited(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn killed(signal: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(signal))
}

fn ended(source: Option<ExitStatus>, destination: Option<ExitStatus>) -> Observed {
    let mut observed = Observed::default();
    observed.source.ended = source;
    observed.destination.ended = destination;
    observed
}

fn said(mover: &mut Mover, message: &str) {
    mover.summary = Some(SummaryRecord {
        message: Some(message.to_owned()),
        ..SummaryRecord::default()
    });
}

#[test]
fn an_attempt_is_complete_by_the_word_of_the_destination() {
    let verdict = ended(exited(0), exited(0)).verdict();
    assert_eq!(
        (verdict.code, verdict.message.as_str()),
        (ExitCode::Complete, "")
    );
}

#[test]
fn the_message_is_that_of_the_mover_that_explains_the_end() {
    let mut observed = ended(exited(21), exited(30));
    said(&mut observed.source, "cannot read the source");
    said(&mut observed.destination, "the source is gone");
    let verdict = observed.verdict();
    assert_eq!(
        (verdict.code, verdict.side),
        (ExitCode::PermissionDenied, Side::Source)
    );
    assert_eq!(verdict.message, "cannot read the source");

    let mut observed = ended(exited(30), exited(20));
    said(&mut observed.source, "the destination is gone");
    said(&mut observed.destination, "no space");
    let verdict = observed.verdict();
    assert_eq!(
        (verdict.code, verdict.side),
        (ExitCode::DestinationFull, Side::Destination)
    );
    assert_eq!(verdict.message, "no space");
}

#[test]
fn a_source_that_could_use_no_data_plane_explains_the_end() {
    let mut observed = ended(exited(30), exited(30));
    said(&mut observed.source, "no answer from 10.1.2.3:9032");
    said(&mut observed.destination, "the source is gone");
    assert_eq!(observed.verdict().message, "the source is gone");
    if let Some(summary) = &mut observed.source.summary {
        summary.transport_unavailable = true;
    }
    assert_eq!(observed.verdict().message, "no answer from 10.1.2.3:9032");
}

#[test]
fn a_killed_mover_is_named_with_its_signal() {
    for (observed, name) in [
        (ended(killed(9), exited(30)), "source"),
        (ended(exited(30), killed(9)), "destination"),
    ] {
        let verdict = observed.verdict();
        assert_eq!(verdict.code, ExitCode::PeerUnreachable, "{name}");
        assert!(
            verdict
                .message
                .starts_with(&format!("the {name} mover was ended by signal 9")),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn a_mover_that_only_wrote_a_log_is_explained_by_its_last_line() {
    let mut observed = ended(None, exited(2));
    observed.destination.log("something else".to_owned());
    observed
        .destination
        .log("error: the identity folder is empty".to_owned());
    let verdict = observed.verdict();
    assert_eq!(
        verdict.message,
        "the destination mover: the identity folder is empty"
    );
}

#[test]
fn an_interrupted_run_is_interrupted_unless_it_was_complete_all_the_same() {
    let interrupted = |source, destination| {
        Observed {
            interrupted: true,
            ..ended(exited(source), exited(destination))
        }
        .verdict()
        .code
    };
    assert_eq!(interrupted(130, 130), ExitCode::Interrupted);
    assert_eq!(interrupted(30, 30), ExitCode::Interrupted);
    assert_eq!(interrupted(0, 0), ExitCode::Complete);
    let overdue = Observed {
        overdue: true,
        ..ended(exited(130), exited(130))
    };
    assert_eq!(overdue.verdict().code, ExitCode::DeadlineExceeded);
}

#[test]
fn only_progress_that_moves_counts_as_progress() {
    let mut observed = Observed::default();
    let at = |second| Timestamp::from_second(second).unwrap();
    let figures = Figures {
        phase: Phase::Copy,
        files_done: 1,
        ..Figures::default()
    };
    observed.event(Side::Destination, &Record::Progress(figures.clone()), at(1));
    observed.event(Side::Destination, &Record::Progress(figures.clone()), at(2));
    assert_eq!(observed.last_progress, Some(at(1)));
    observed.event(
        Side::Destination,
        &Record::Progress(Figures {
            files_done: 2,
            ..figures
        }),
        at(3),
    );
    assert_eq!(observed.last_progress, Some(at(3)));
}

#[test]
fn the_status_names_at_most_twenty_entries_escaped_and_cut() {
    let mut observed = Observed::default();
    for i in 0..30 {
        let mut name = vec![b'x'; 2000];
        name[0] = b'\n';
        let record = Record::Error {
            path: EntryPath::new(&name),
            message: format!("{i}: {}", "é".repeat(500)),
        };
        observed.event(Side::Destination, &record, Timestamp::UNIX_EPOCH);
    }
    assert_eq!(observed.failed_files.len(), 20);
    let first = &observed.failed_files[0];
    assert!(first.path.starts_with("\\nx") && first.path.len() <= 512);
    assert!(first.error.ends_with('…') && first.error.len() <= 256);
}

#[test]
fn keys_may_go_when_both_movers_have_started() {
    let mut observed = Observed::default();
    let start = Record::Start(Start::default());
    observed.event(Side::Destination, &start, Timestamp::UNIX_EPOCH);
    assert!(!observed.both_started());
    observed.event(Side::Source, &start, Timestamp::UNIX_EPOCH);
    assert!(observed.both_started());
}

#[test]
fn the_log_tail_is_bounded() {
    let mut mover = Mover::default();
    (0..100).for_each(|i| mover.log(format!("{i} {}", "ü".repeat(100))));
    let tail = mover.log_tail();
    assert!(tail.len() <= LOG_BYTES && tail.ends_with('ü'));
}

#[test]
fn a_mover_that_was_told_to_leave_does_not_explain_the_end() {
    for told in [exited(130), killed(9)] {
        let mut observed = ended(exited(2), told);
        observed.told = Some(Side::Destination);
        said(&mut observed.source, "the source does not exist");
        let verdict = observed.verdict();
        assert_eq!(
            (verdict.code, verdict.side),
            (ExitCode::Usage, Side::Source)
        );
        assert_eq!(verdict.message, "the source does not exist");
    }
}

#[test]
fn why_a_plane_could_not_be_used_is_known_from_either_mover_and_told_once() {
    let tried = |reason: &str| status::tried("TCP", reason).unwrap();
    let mut observed = Observed::default();
    let now = Timestamp::UNIX_EPOCH;
    for side in [Side::Source, Side::Destination] {
        let fallback = Record::Fallback {
            from: "TCP".to_owned(),
            to: "GRPC".to_owned(),
            reason: "refused".to_owned(),
        };
        observed.event(side, &fallback, now);
        let summary = SummaryRecord {
            tried: vec![tried("refused")],
            ..SummaryRecord::default()
        };
        observed.event(side, &Record::Summary(Box::new(summary)), now);
    }
    assert_eq!(observed.tried, [tried("refused")]);
    // Where nothing else may be used there is no fallback.
    let mut observed = Observed::default();
    let summary = SummaryRecord {
        tried: vec![tried("silent")],
        ..SummaryRecord::default()
    };
    observed.event(Side::Source, &Record::Summary(Box::new(summary)), now);
    assert_eq!(observed.tried, [tried("silent")]);
}
