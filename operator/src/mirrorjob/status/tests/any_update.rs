//! Figures as a mover may tell them that is broken or lies: a status takes them, and stays one.

use blit_proto::v2::{FailedEntry, PlaneTried, ProgressUpdate};
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Any seconds, those that are none included.
fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        Just(-1e9)
    ]
}

fn entries() -> impl Strategy<Value = Vec<FailedEntry>> {
    let entry = (".{0,600}", ".{0,600}").prop_map(|(path, error)| FailedEntry { path, error });
    vec(entry, 0..30)
}

fn planes() -> impl Strategy<Value = Vec<PlaneTried>> {
    let kind = prop_oneof!["TCP|GRPC|RDMA", ".{0,10}"];
    let tried = (kind, ".{0,600}").prop_map(|(kind, reason)| PlaneTried { kind, reason });
    vec(tried, 0..12)
}

prop_compose! {
    fn update()(
        phase in prop_oneof!["copy|delete|finish|waiting", ".{0,20}"],
        scan_complete in any::<bool>(),
        counts in any::<[u64; 8]>(),
        percent in option::of(any::<u32>()),
        eta_seconds in option::of(any::<u64>()),
        (elapsed_seconds, idle_seconds) in (seconds(), seconds()),
        metadata_not_kept in hash_map(".{0,20}", any::<u64>(), 0..5),
        failed_entries in entries(),
        transport in prop_oneof!["Local|TCP|GRPC|RDMA", ".{0,10}"],
        tried in planes(),
    ) -> ProgressUpdate {
        let [files_total, files_done, bytes_total, bytes_done, files_deleted, files_failed, bytes_per_second, _] = counts;
        ProgressUpdate {
            phase,
            scan_complete,
            files_total,
            files_done,
            bytes_total,
            bytes_done,
            files_deleted,
            files_failed,
            bytes_per_second,
            percent,
            eta_seconds,
            elapsed_seconds,
            idle_seconds,
            metadata_not_kept,
            failed_entries,
            transport,
            tried,
            ..ProgressUpdate::default()
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_mover_tells_is_bounded_and_nothing_of_it_lies_in_the_future(update in update()) {
        let mut status = MirrorJobStatus::default();
        let now = at(1_000_000);
        figures::live(&job(), &update, now, &mut status);
        if let Some(progress) = &status.progress {
            prop_assert!(progress.percent.is_none_or(|percent| (0..100).contains(&percent)));
            let counts = [
                progress.files_done,
                progress.bytes_done,
                progress.files_deleted,
                progress.files_failed,
                progress.eta_seconds.unwrap_or_default(),
                progress.bytes_per_second.unwrap_or_default(),
                progress.files_total.unwrap_or_default(),
                progress.bytes_total.unwrap_or_default(),
            ];
            prop_assert!(counts.iter().all(|count| *count >= 0), "{counts:?}");
        }
        let moved = status.last_progress_time.as_ref().map(|time| time.0);
        prop_assert!(moved.is_none_or(|moved| moved <= now), "{moved:?}");
        prop_assert!(status.failed_files.len() <= 20);
        for failed in &status.failed_files {
            let lengths = [&failed.path, &failed.error].map(|text| text.chars().count());
            prop_assert!(lengths[0] <= 512 && lengths[1] <= 256, "{lengths:?}");
        }
        if let Some(transport) = &status.transport {
            prop_assert!(transport.tried.len() <= 8);
            prop_assert!(transport.tried.iter().all(|tried| tried.reason.chars().count() <= 256));
        }
        prop_assert!(serde_json::to_string(&status).is_ok());
    }
}
