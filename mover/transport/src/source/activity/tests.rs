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
fn time_alone_is_no_progress() {
    let update = |deleted, elapsed_seconds| ProgressUpdate {
        files_deleted: deleted,
        elapsed_seconds,
        ..ProgressUpdate::default()
    };
    assert!(!progressed(&update(1, 1.0), &update(1, 2.0)));
    assert!(progressed(&update(1, 1.0), &update(2, 1.0)));
}
