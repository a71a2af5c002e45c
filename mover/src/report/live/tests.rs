use std::time::Duration;

use super::super::figures::Phase;
use super::super::record::EntryPath;
use super::*;

const PLANE: Plane = Plane {
    tried: Vec::new(),
    transport: "TCP",
    zero_copy: true,
};

fn copied(files: u64) -> Record {
    Record::Progress(Figures {
        phase: Phase::Copy,
        files_done: files,
        ..Figures::default()
    })
}

#[test]
fn an_operator_learns_what_failed_what_was_not_kept_and_how_content_travels() {
    let now = Instant::now();
    let mut state = State::new(now);
    for n in 0..30 {
        let path = EntryPath::new(format!("dir/\n{n}").as_bytes());
        let message = "cannot open: Permission denied".to_owned();
        assert!(!state.take(&Record::Error { path, message }, now));
    }
    let figures = Figures {
        not_kept: [("owner".to_owned(), 7)].into(),
        ..Figures::default()
    };
    assert!(state.take(&Record::Progress(figures), now));
    let update = state.update(PLANE, now);
    assert_eq!(update.failed_entries.len(), FAILED_ENTRIES);
    assert_eq!(update.failed_entries[0].path, "dir/\\n0");
    assert!(update.failed_entries[0].error.contains("Permission"));
    assert_eq!(update.metadata_not_kept["owner"], 7);
    assert_eq!((update.transport.as_str(), update.zero_copy), ("TCP", true));
}

#[test]
fn an_error_of_the_run_itself_is_no_failed_entry() {
    let now = Instant::now();
    let mut state = State::new(now);
    let (path, message) = (EntryPath::default(), "the peer is gone".to_owned());
    state.take(&Record::Error { path, message }, now);
    assert_eq!(state.update(PLANE, now).failed_entries, []);
}

#[test]
fn idle_time_begins_anew_whenever_something_moves() {
    let begun = Instant::now();
    let after = |seconds| begun + Duration::from_secs(seconds);
    let mut state = State::new(begun);
    state.take(&copied(1), after(1));
    state.take(&copied(1), after(5));
    assert_eq!(state.update(PLANE, after(7)).idle_seconds, 6.0);
    state.take(&copied(2), after(8));
    assert_eq!(state.update(PLANE, after(8)).idle_seconds, 0.0);
}

#[test]
fn a_phase_is_told_at_once_with_the_figures_so_far() {
    let now = Instant::now();
    let mut state = State::new(now);
    state.take(&copied(3), now);
    let phase = Phase::Delete;
    assert!(state.take(&Record::Phase { phase }, now));
    let update = state.update(PLANE, now);
    assert_eq!((update.phase.as_str(), update.files_done), ("delete", 3));
}

#[test]
fn there_is_no_percentage_before_the_scan_is_complete() {
    let now = Instant::now();
    let mut state = State::new(now);
    state.take(&copied(3), now);
    assert_eq!(state.update(PLANE, now).percent, None);
    let figures = Figures {
        scan_complete: true,
        files_done: 1,
        files_total: Some(4),
        bytes_done: 25,
        bytes_total: Some(100),
        ..Figures::default()
    };
    state.take(&Record::Progress(figures), now);
    assert_eq!(state.update(PLANE, now).percent, Some(25));
}
