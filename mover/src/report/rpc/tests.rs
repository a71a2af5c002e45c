use blit_proto::v2::PushSummary;

use super::*;

#[test]
fn the_rpc_carries_what_was_found_so_far_and_says_whether_that_is_all() {
    let figures = Figures {
        phase: Phase::Copy,
        files_found: 10,
        files_done: 4,
        bytes_found: 1000,
        bytes_per_second: Some(7),
        bytes_compared: 8,
        bytes_hashed: 9,
        ..Figures::default()
    };
    let update = progress(&figures);
    assert_eq!(
        (update.phase.as_str(), update.scan_complete),
        ("copy", false)
    );
    assert_eq!(
        (update.files_total, update.files_done, update.bytes_total),
        (10, 4, 1000)
    );
    assert_eq!(update.bytes_per_second, 7);
    assert_eq!((update.bytes_compared, update.bytes_hashed), (8, 9));
}

#[test]
fn the_source_learns_what_the_destination_knows() {
    let told = SummaryRecord {
        result: "EntriesFailed".to_owned(),
        exit_code: 10,
        message: Some("2 entries could not be copied".to_owned()),
        files_copied: 5,
        files_failed: 2,
        ..SummaryRecord::default()
    };
    let result = result(&told);
    let summary = PushSummary {
        exit_code: result.exit_code,
        result: result.result,
        message: result.message,
        counters: result.counters.into_iter().collect(),
        ..PushSummary::default()
    };
    let own = SummaryRecord {
        bytes_sent: 77,
        ..SummaryRecord::default()
    };
    let pushed = pushed(&summary, own);
    assert_eq!(
        (pushed.exit_code, pushed.files_copied, pushed.files_failed),
        (10, 5, 2)
    );
    assert_eq!((pushed.message, pushed.bytes_sent), (told.message, 77));
}
