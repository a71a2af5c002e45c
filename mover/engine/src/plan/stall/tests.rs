use super::*;
use crate::watch::{Call, Wait};

const IDLE: Doing = Doing::Idle(Wait::Work);

fn seen(thread: u64, doing: Doing, stamp: u64) -> Seen {
    Seen {
        thread,
        doing,
        stamp,
    }
}

fn look(threads: &[Seen]) -> Look<'_> {
    Look {
        threads,
        moved: 0,
        busy_elsewhere: false,
    }
}

/// Looks every half second for `time`; returns when something was found first, and what.
fn watch<'a>(
    time: Duration,
    mut at: impl FnMut(Duration) -> Look<'a>,
) -> Option<(Duration, Finding)> {
    let mut detector = Detector::default();
    let mut now = Duration::ZERO;
    while now <= time {
        let finding = detector.look(now, &at(now));
        if finding != Finding::default() {
            return Some((now, finding));
        }
        now += EVERY;
    }
    None
}

const HOURS: Duration = Duration::from_secs(5 * 3600);

#[test]
fn planner_and_workers_that_are_all_idle_stall_after_ten_seconds() {
    let threads = [
        seen(0, Doing::Idle(Wait::Listing), 7),
        seen(1, IDLE, 9),
        seen(2, Doing::Idle(Wait::Window), 1),
    ];
    let (when, finding) = watch(HOURS, |_| look(&threads)).unwrap();
    assert!(finding.stalled);
    // The first look finds everything new.
    assert!(
        when >= LIMIT && when <= LIMIT + 2 * EVERY,
        "found after {when:?}"
    );
}

#[test]
fn one_thread_at_work_or_in_a_call_is_enough_for_hours() {
    let busy = [seen(0, IDLE, 7), seen(1, Doing::Busy, 9)];
    assert_eq!(watch(HOURS, |_| look(&busy)), None);
    let calling = [seen(0, IDLE, 7), seen(1, Doing::Call(Call::Read), 9)];
    let (when, finding) = watch(HOURS, |_| look(&calling)).unwrap();
    assert!(!finding.stalled, "a call is slow, not idle");
    assert_eq!(finding.slow, [calling[1]]);
    assert_eq!(when, LIMIT);
}

#[test]
fn a_call_is_named_once_and_the_next_one_again() {
    let mut detector = Detector::default();
    let mut named = Vec::new();
    for half_second in 0..7200_u32 {
        let now = EVERY * half_second;
        // One call an hour.
        let calls = [seen(
            0,
            Doing::Call(Call::Read),
            u64::from(half_second / 3600),
        )];
        let finding = detector.look(now, &look(&calls));
        assert!(!finding.stalled);
        named.extend(finding.slow.iter().map(|_| now.as_secs()));
    }
    assert_eq!(named, [10, 1810]);
}

#[test]
fn a_call_that_only_waits_for_the_network_is_looked_at_again() {
    let mut detector = Detector::default();
    let call = [seen(0, Doing::Call(Call::Sendfile), 3)];
    let mut named = 0;
    for half_second in 0..30_u32 {
        let finding = detector.look(EVERY * half_second, &look(&call));
        for slow in finding.slow {
            named += 1;
            if named < 5 {
                detector.not_yet(slow.thread);
            }
        }
    }
    assert_eq!(named, 5);
}

#[test]
fn a_kilobyte_a_second_is_neither_stalled_nor_slow() {
    // A thread that is seen idle each time but did a call between, and one whose reads take four seconds.
    let mut threads = [seen(0, IDLE, 0), seen(1, Doing::Call(Call::Read), 0)];
    let mut detector = Detector::default();
    for half_second in 0..14_400_u32 {
        let now = EVERY * half_second;
        threads[0].stamp = now.as_secs() / 8;
        threads[1].stamp = now.as_secs() / 4;
        assert_eq!(detector.look(now, &look(&threads)), Finding::default());
    }
    // Bytes that arrive on threads that nobody knows.
    let idle = [seen(0, IDLE, 4)];
    let moving = |now: Duration| Look {
        moved: now.as_secs() / 9,
        ..look(&idle)
    };
    assert_eq!(watch(HOURS, moving), None);
}

#[test]
fn a_host_that_works_keeps_the_other_from_stalling() {
    let idle = [seen(0, IDLE, 4)];
    let until = Duration::from_secs(3600);
    let elsewhere = |now: Duration| Look {
        busy_elsewhere: now < until,
        ..look(&idle)
    };
    let (when, finding) = watch(HOURS, elsewhere).unwrap();
    assert!(finding.stalled);
    assert!(when >= until + LIMIT - EVERY && when <= until + LIMIT + EVERY);
}

#[test]
fn a_process_that_was_stopped_for_an_hour_has_not_been_idle() {
    let idle = [seen(0, IDLE, 4)];
    let mut detector = Detector::default();
    let mut now = Duration::ZERO;
    for _ in 0..4 {
        assert_eq!(detector.look(now, &look(&idle)), Finding::default());
        now += EVERY;
    }
    now += Duration::from_secs(3600);
    assert_eq!(detector.look(now, &look(&idle)), Finding::default());
}

#[test]
fn nobody_on_the_roster_is_nobody_idle() {
    assert_eq!(watch(HOURS, |_| look(&[])), None);
}
