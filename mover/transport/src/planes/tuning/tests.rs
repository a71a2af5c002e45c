use super::*;

/// Plays a session with work for so many seconds over a path that gives each stream `each` megabytes a second, and all of
/// them `all`; returns how many streams were wanted at each half second.
fn played(
    tuning: &mut Tuning,
    round_trip: Option<u64>,
    each: u64,
    all: u64,
    seconds: u64,
) -> Vec<usize> {
    let mut streams = STREAMS as usize;
    let mut moved = 0;
    let times = 0..seconds * 2;
    times
        .map(|time| {
            let sample = Sample {
                moved,
                round_trip: round_trip.map(Duration::from_millis),
                has_work: true,
                open: streams,
            };
            streams = tuning.look(&sample, Duration::from_millis(500) * time as u32);
            moved += ((streams as u64 * each).min(all) << 20) / 2;
            streams
        })
        .collect()
}

/// What a session shows that brings 200 megabytes a second over a long path.
fn seen(second: u64, open: usize) -> Sample {
    Sample {
        moved: second * (200 << 20),
        round_trip: Some(Duration::from_millis(50)),
        has_work: true,
        open,
    }
}

#[test]
fn a_short_path_keeps_two_streams() {
    let wanted = played(&mut Tuning::default(), Some(1), 100, 10_000, 60);
    assert!(wanted.iter().all(|streams| *streams == 2), "{wanted:?}");
    let wanted = played(&mut Tuning::default(), None, 100, 10_000, 60);
    assert!(wanted.iter().all(|streams| *streams == 2), "{wanted:?}");
}

#[test]
fn a_long_path_gets_as_many_as_fill_it_and_no_more() {
    for (all, filled) in [(150, 2), (200, 2), (400, 4), (790, 8), (100_000, 16)] {
        let wanted = played(&mut Tuning::default(), Some(50), 100, all, 30);
        assert_eq!(wanted.last(), Some(&filled), "{all}: {wanted:?}");
        let most = wanted.iter().max();
        assert!(most <= Some(&(filled * 2).min(16)), "{all}: {wanted:?}");
    }
}

#[test]
fn what_was_found_holds_for_a_minute_and_then_for_twice_as_long_each_time() {
    let mut tuning = Tuning::default();
    let wanted = played(&mut tuning, Some(50), 100, 200, 500);
    let begins = wanted.windows(2).enumerate();
    let begins = begins.filter(|(_, two)| two[0] == 2 && two[1] == 4);
    let begins: Vec<usize> = begins.map(|(half, _)| half / 2).collect();
    // A second to see what two bring; then each time three seconds with four.
    assert_eq!(begins, [0, 62, 184, 426], "{wanted:?}");
    let more = wanted.iter().filter(|streams| **streams > 2).count();
    assert_eq!(more, 4 * 4, "two looks of a second each time");
}

#[test]
fn a_slow_path_is_judged_by_enough_of_what_it_brings() {
    let mut tuning = Tuning::default();
    let wanted = played(&mut tuning, Some(50), 1, 100, 31);
    assert!(wanted.iter().all(|streams| *streams == 2), "{wanted:?}");
    let wanted = played(&mut Tuning::default(), Some(50), 1, 100, 60);
    assert!(wanted.contains(&4), "{wanted:?}");
}

#[test]
fn nothing_is_learned_while_there_is_nothing_to_send() {
    let mut tuning = Tuning::default();
    for second in 0..60 {
        let sample = Sample {
            has_work: second % 2 == 0,
            ..seen(second, 2)
        };
        assert_eq!(tuning.look(&sample, Duration::from_secs(second)), 2);
    }
}

#[test]
fn where_more_streams_do_not_come_those_that_are_there_have_to_do() {
    let mut tuning = Tuning::default();
    let look = |tuning: &mut Tuning, second: u64, open| {
        tuning.look(&seen(second, open), Duration::from_secs(second))
    };
    look(&mut tuning, 0, 2);
    assert_eq!(look(&mut tuning, 1, 2), 4);
    // One of the two comes, the other never does.
    let wanted: Vec<_> = (2..18).map(|at| look(&mut tuning, at, 3)).collect();
    assert_eq!(wanted.last(), Some(&3), "{wanted:?}");
    assert!(wanted[..15].iter().all(|wanted| *wanted == 4), "{wanted:?}");
    // And it is learned again, after a minute.
    let wanted: Vec<_> = (18..90).map(|at| look(&mut tuning, at, 3)).collect();
    assert!(wanted[..50].iter().all(|wanted| *wanted == 3), "{wanted:?}");
    assert!(wanted.contains(&6), "{wanted:?}");
}

#[test]
fn a_session_keeps_the_streams_that_it_began_with_even_if_they_do_not_come() {
    let mut tuning = Tuning::default();
    for second in 0..60 {
        let open = usize::from(second % 7 == 0);
        let wanted = tuning.look(&seen(second, open), Duration::from_secs(second));
        assert_eq!(wanted, 2);
    }
    // And what was not there does not count against more of them.
    tuning.look(&seen(60, 2), Duration::from_secs(60));
    assert_eq!(tuning.look(&seen(61, 2), Duration::from_secs(61)), 4);
}

#[test]
fn what_a_side_waits_for_is_work_where_it_is_more_than_the_streams_hold() {
    const MEBI: u64 = 1 << 20;
    let window = 64 * MEBI;
    // Each of two may be at its last piece.
    assert!(!has_work(8 * MEBI, 2, window));
    assert!(has_work(8 * MEBI + 1, 2, window));
    // Of files that fit the window there is never more than it under way.
    assert!(!has_work(32 * MEBI, 16, window));
    assert!(has_work(48 * MEBI, 16, window));
    assert!(!has_work(0, 0, window));
}
