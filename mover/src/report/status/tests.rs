use super::*;

#[test]
fn a_status_has_a_percentage_only_after_the_scan() {
    let figures = Figures {
        bytes_done: 1536,
        files_done: 1,
        ..Figures::default()
    };
    let status = progress(&figures, &BTreeMap::new(), false);
    assert_eq!((status.percent, status.display.as_str()), (None, "1.5 KiB"));
    assert_eq!((status.files_total, status.scan_complete), (None, false));
}

#[test]
fn a_complete_run_is_at_a_hundred_percent_even_if_it_skipped_holes() {
    let figures = Figures {
        scan_complete: true,
        files_done: 1,
        files_total: Some(1),
        bytes_done: 10,
        bytes_total: Some(1000),
        eta_seconds: Some(4),
        ..Figures::default()
    };
    let status = progress(&figures, &BTreeMap::new(), true);
    assert_eq!(
        (status.percent, status.display.as_str()),
        (Some(100), "100%")
    );
    assert_eq!(status.eta_seconds, None);
    assert_eq!(progress(&figures, &BTreeMap::new(), false).percent, Some(1));
}

#[test]
fn what_was_not_kept_is_counted_by_kind_without_names() {
    let found = NotKept {
        count: 12,
        names: vec!["secret".to_owned()],
    };
    let status = progress(
        &Figures::default(),
        &[("owner".to_owned(), found)].into(),
        false,
    );
    assert_eq!(status.metadata_not_kept, [("owner".to_owned(), 12)].into());
}
