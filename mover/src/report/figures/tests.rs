use super::*;

fn scanned(files: (u64, u64), bytes: (u64, u64)) -> Figures {
    Figures {
        phase: Phase::Copy,
        scan_complete: true,
        files_done: files.0,
        files_total: Some(files.1),
        bytes_done: bytes.0,
        bytes_total: Some(bytes.1),
        ..Figures::default()
    }
}

#[test]
fn there_is_no_percentage_before_the_scan_is_complete() {
    let figures = Figures {
        scan_complete: false,
        ..scanned((1, 2), (1, 2))
    };
    assert_eq!(figures.percent(), None);
    assert_eq!(figures.eta(100.0, 100.0), None);
}

#[test]
fn a_hundred_percent_means_that_nothing_is_left() {
    assert_eq!(
        scanned((9, 10), (1000, 1000)).percent(),
        Some(99),
        "a file is still open"
    );
    assert_eq!(scanned((10, 10), (1000, 1000)).percent(), Some(100));
    assert_eq!(
        scanned((0, 0), (0, 0)).percent(),
        Some(100),
        "an empty tree is done"
    );
    assert_eq!(
        scanned((3, 10), (u64::MAX / 2, u64::MAX)).percent(),
        Some(49),
        "no overflow"
    );
}

#[test]
fn files_count_where_there_are_no_bytes() {
    assert_eq!(scanned((5, 10), (0, 0)).percent(), Some(50));
}

#[test]
fn the_longer_of_bytes_and_files_is_the_time_left() {
    let figures = scanned((0, 100), (0, 1000));
    assert_eq!(figures.eta(100.0, 1.0), Some(Duration::from_secs(100)));
    assert_eq!(figures.eta(10.0, 100.0), Some(Duration::from_secs(100)));
    assert_eq!(figures.eta(0.0, 0.0), None, "nothing moves: no estimate");
}

#[test]
fn every_counter_that_moves_is_progress() {
    let before = scanned((1, 10), (5, 100));
    assert!(!before.advanced_to(&before.clone()));
    let rate = Figures {
        bytes_per_second: Some(7),
        ..before.clone()
    };
    assert!(
        !before.advanced_to(&rate),
        "a rate that decays is no progress"
    );
    let more = Figures {
        bytes_done: 6,
        ..before.clone()
    };
    assert!(before.advanced_to(&more));
    let deleting = Figures {
        phase: Phase::Delete,
        ..before.clone()
    };
    assert!(before.advanced_to(&deleting));
    let hashed_by_the_source = Figures {
        bytes_hashed: 1,
        ..before.clone()
    };
    assert!(before.advanced_to(&hashed_by_the_source));
}
