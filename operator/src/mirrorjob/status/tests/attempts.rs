//! Which attempts there were, which of them count, and what explains their ends.

use super::*;

/// The end of a job of which three attempts failed, with these exit codes of their destinations.
fn after_three(codes: [ExitCode; 3]) -> MirrorJobStatus {
    let mut job = job();
    let mut last = MirrorJobStatus::default();
    for (attempt, code) in (1..).zip(codes) {
        assert_eq!(last.completion_time, None, "before attempt {attempt}");
        last = see_end(&mut job, attempt, ExitCode::PeerUnreachable, code);
    }
    assert_eq!(last.phase, Phase::Failed);
    assert_eq!((last.attempts.len(), last.attempts_total), (3, 3));
    last
}

#[test]
fn attempts_are_repeated_until_the_limit() {
    use ExitCode::{OtherError, Stalled};
    let status = after_three([OtherError, OtherError, Stalled]);
    let failure = status.failure.unwrap();
    assert_eq!(failure.reason, "BackoffLimitExceeded");
    assert_eq!(
        failure.message,
        "3 attempts failed, the last with Stalled: the cause"
    );
}

#[test]
fn a_job_of_which_no_attempt_made_progress_says_so() {
    let status = after_three([ExitCode::Stalled; 3]);
    let failure = status.failure.clone().unwrap();
    assert_eq!(failure.reason, "ProgressDeadlineExceeded");
    assert_eq!(failure.exit_code, Some(40));
    assert_eq!(
        failure.message,
        "3 attempts ended because nothing moved, and none of them copied anything \
         (spec.progressDeadlineSeconds is 600): the cause"
    );
    assert_eq!(
        condition(&status, "Failed"),
        ("True".into(), "ProgressDeadlineExceeded".into())
    );
    let reasons = status
        .attempts
        .iter()
        .map(|attempt| attempt.reason.as_deref());
    assert_eq!(reasons.collect::<Vec<_>>(), [Some("Stalled"); 3]);
}

#[test]
fn an_attempt_that_does_not_count_does_not_hide_that_none_made_progress() {
    let mut job = job();
    job.spec.backoff_limit = 0;
    show(&mut job, 1, Stage::Begin);
    show(&mut job, 2, killed_source(ExitCode::PeerUnreachable));
    let status = see_end(&mut job, 2, ExitCode::PeerUnreachable, ExitCode::Stalled);
    assert_eq!(status.failure.unwrap().reason, "ProgressDeadlineExceeded");
}

#[test]
fn the_pause_between_attempts_doubles_to_six_minutes_and_data_makes_it_short_again() {
    let mut job = job();
    job.spec.backoff_limit = 100;
    let mut pauses = Vec::new();
    for attempt in 1..=8 {
        let status = see_end(
            &mut job,
            attempt,
            ExitCode::PeerUnreachable,
            ExitCode::Stalled,
        );
        let ended = status.attempts.last().unwrap().end_time.as_ref().unwrap().0;
        let next = history::next_start(&status).unwrap();
        pauses.push(next.duration_since(ended).as_secs());
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 360, 360]);
    let mut destination = ended(Side::Destination, ExitCode::Stalled);
    destination.message.as_mut().unwrap().bytes_copied = 1;
    let source = MoverState::Ended(ended(Side::Source, ExitCode::PeerUnreachable));
    let status = see(&mut job, 9, source, MoverState::Ended(destination));
    assert_eq!(history::next_start(&status), Some(at(1_019)));
}

#[test]
fn an_attempt_is_open_from_its_beginning_to_its_end() {
    let mut job = job();
    assert_eq!(history::open(&show(&mut job, 1, idle())), None);
    let begun = show(&mut job, 2, Stage::Begin);
    assert_eq!(
        (history::open(&begun), begun.start_time),
        (Some(1), Some(Time(at(2))))
    );
    let status = see_end(&mut job, 1, ExitCode::PeerUnreachable, ExitCode::Stalled);
    assert_eq!(history::open(&status), None);
    assert_eq!(status.attempts[0].start_time, Some(Time(at(2))));
    assert_eq!(status.attempts[0].reason.as_deref(), Some("Stalled"));
}

#[test]
fn what_the_operator_decided_explains_an_attempt_that_it_ended() {
    let mut job = job();
    show(&mut job, 1, Stage::Begin);
    let verdict = Verdict {
        reason: Reason::DeadlineExceeded,
        message: "too late".to_owned(),
    };
    let end = |code| Stage::Ended {
        source: ended(Side::Source, code),
        destination: ended(Side::Destination, code),
        verdict: Some(verdict.clone()),
    };
    let status = show(&mut job.clone(), 2, end(ExitCode::Interrupted));
    assert_eq!(status.phase, Phase::Failed);
    assert_eq!(status.failure.unwrap().reason, "DeadlineExceeded");
    let status = show(&mut job, 2, end(ExitCode::Complete));
    assert_eq!(
        status.phase,
        Phase::Complete,
        "it was done before it was told"
    );
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
fn the_figures_of_one_attempt_are_not_those_of_the_next() {
    let mut job = job();
    let mut destination = ended(Side::Destination, ExitCode::Stalled);
    destination.message.as_mut().unwrap().bytes_copied = 1 << 30;
    let source = MoverState::Ended(ended(Side::Source, ExitCode::PeerUnreachable));
    see(&mut job, 1, source, MoverState::Ended(destination));
    show(&mut job, 5_000, Stage::Begin);
    let killed = Ended {
        killed: Some(Reason::OomKilled),
        ..Ended::default()
    };
    let end = Stage::Ended {
        source: ended(Side::Source, ExitCode::PeerUnreachable),
        destination: killed,
        verdict: None,
    };
    let status = show(&mut job, 5_001, end);
    assert_eq!(status.attempts[1].bytes_done, 0);
    assert_eq!(history::failures(&status), 1);
}

#[test]
fn attempts_that_do_not_count_do_not_count_when_they_are_forgotten() {
    let mut job = job();
    for attempt in 1..=20 {
        let status = {
            let known = i64::from(attempt) * 10;
            show(&mut job, known, Stage::Begin);
            show(
                &mut job,
                known + 1,
                killed_source(ExitCode::PeerUnreachable),
            )
        };
        assert_eq!(status.phase, Phase::Preparing, "attempt {attempt}");
    }
}
