use super::*;

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

#[test]
fn the_first_measurement_is_the_rate_since_the_start_and_weighs_nothing_later() {
    let mut rate = Rate::default();
    assert_eq!(rate.measure(seconds(2.0), 1000), Some(500.0));
    assert_eq!(rate.measure(seconds(3.0), 3000), Some(2000.0));
}

#[test]
fn nothing_moved_is_no_rate_at_first() {
    assert_eq!(Rate::default().measure(seconds(1.0), 0), None);
    assert_eq!(Rate::default().measure(seconds(0.0), 1), None);
}

#[test]
fn a_steady_stream_has_its_own_rate() {
    let mut rate = Rate::default();
    let mut last = None;
    for i in 0..20u32 {
        last = rate.measure(seconds(f64::from(i) * 0.5), u64::from(i) * 500);
    }
    let last = last.unwrap();
    assert!((last - 1000.0).abs() < 1e-6, "{last}");
}

#[test]
fn the_average_follows_a_change_within_seconds() {
    let mut rate = Rate::default();
    rate.measure(seconds(0.0), 0);
    rate.measure(seconds(1.0), 1000);
    let mut last = 0.0;
    for i in 2..14u32 {
        last = rate.measure(seconds(f64::from(i)), 1000).unwrap();
    }
    assert!(
        last < 60.0,
        "three time constants later the old rate is 5 % at most: {last}"
    );
}

#[test]
fn a_clock_that_stands_still_or_a_counter_that_falls_gives_no_nonsense() {
    let mut rate = Rate::default();
    rate.measure(seconds(1.0), 1000);
    assert_eq!(rate.measure(seconds(1.0), 2000), None);
    assert_eq!(rate.measure(seconds(2.0), 10), Some(0.0));
}
