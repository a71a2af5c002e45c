use std::time::{Duration, Instant};

use blit_proto::v2::ProgressUpdate;

use super::{Activity, Watchdog, progressed};

#[test]
fn a_session_stalls_when_nothing_moves_for_the_deadline() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let activity = Activity::default();
    let mut watchdog = Watchdog::new(Duration::from_secs(10), start);
    assert!(!watchdog.is_stalled(&activity, 0, at(9)));
    activity.moved();
    assert!(!watchdog.is_stalled(&activity, 0, at(11)), "a message came");
    assert!(!watchdog.is_stalled(&activity, 100, at(20)), "bytes went");
    assert!(!watchdog.is_stalled(&activity, 100, at(29)));
    assert!(watchdog.is_stalled(&activity, 100, at(30)));
}

#[test]
fn what_changes_by_itself_is_no_progress_of_the_destination() {
    let before = ProgressUpdate::default();
    let waiting = ProgressUpdate {
        elapsed_seconds: 2.0,
        idle_seconds: 2.0,
        eta_seconds: Some(7),
        bytes_per_second: 3,
        ..before.clone()
    };
    assert!(!progressed(&before, &waiting));
    let copied = ProgressUpdate {
        files_done: 1,
        ..waiting
    };
    assert!(progressed(&before, &copied));
}
