use std::time::{Duration, Instant};

use blit_proto::v2::{ProgressUpdate, PushSummary};
use proptest::prelude::*;
use prost::Message;

use super::{Activity, Watchdog, progressed};
use crate::wire::any_message::{change, changed};

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
    activity.hashed(7);
    assert!(!watchdog.is_stalled(&activity, 100, at(30)), "it hashes");
    assert!(!watchdog.is_stalled(&activity, 100, at(39)));
    assert!(watchdog.is_stalled(&activity, 100, at(40)));
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
        ..waiting.clone()
    };
    assert!(progressed(&before, &copied));
    // Its own file of those that are compared can take longer than the source's.
    let compares = ProgressUpdate {
        bytes_compared: 1,
        ..waiting
    };
    assert!(progressed(&before, &compares));
}

proptest! {
    #[test]
    fn the_same_said_again_is_no_progress_whatever_it_is(
        changes in proptest::collection::vec(change(), 0..6),
        rate in any::<f64>(),
    ) {
        let update = ProgressUpdate {
            phase: "copy".to_owned(),
            elapsed_seconds: rate,
            idle_seconds: rate,
            files_done: 7,
            metadata_not_kept: [("acl".to_owned(), 1)].into(),
            summary: Some(PushSummary {
                bytes_per_second: rate,
                zero_copy_share: f64::NAN,
                ..PushSummary::default()
            }),
            ..ProgressUpdate::default()
        };
        if let Ok(update) = ProgressUpdate::decode(&*changed(update.encode_to_vec(), &changes)) {
            prop_assert!(!progressed(&update, &update));
        }
    }
}
