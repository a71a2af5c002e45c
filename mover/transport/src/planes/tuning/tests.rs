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
    let mut sent = 0;
    let times = 0..seconds * 2;
    times
        .map(|time| {
            let sample = Sample {
                sent,
                round_trip: round_trip.map(Duration::from_millis),
                is_busy: true,
            };
            streams = tuning.look(&sample, Duration::from_millis(500) * time as u32);
            sent += ((streams as u64 * each).min(all) << 20) / 2;
            streams
        })
        .collect()
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
            sent: second * 100,
            round_trip: Some(Duration::from_millis(50)),
            is_busy: second % 2 == 0,
        };
        assert_eq!(tuning.look(&sample, Duration::from_secs(second)), 2);
    }
}
