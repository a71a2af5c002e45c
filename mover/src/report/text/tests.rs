use super::*;

#[test]
fn sizes_have_three_digits_and_never_a_thousand_of_a_unit() {
    let cases = [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (102_348, "99.9 KiB"),
        (102_400, "100 KiB"),
        (1_023_000, "999 KiB"),
        (1_023_999, "1.0 MiB"),
        (13_207_024_435, "12.3 GiB"),
        (u64::MAX, "16.0 EiB"),
    ];
    for (n, text) in cases {
        assert_eq!(bytes(n), text, "{n}");
    }
}

#[test]
fn counts_are_grouped_by_thousands() {
    let cases = [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (123_456, "123,456"),
        (1_000_000, "1,000,000"),
    ];
    for (n, text) in cases {
        assert_eq!(count(n), text);
    }
    assert_eq!(files(1), "1 file");
    assert_eq!(files(0), "0 files");
}

#[test]
fn durations_read_like_a_clock() {
    let cases = [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.9, "1 min 00 s"),
        (187.0, "3 min 07 s"),
        (7500.0, "2 h 05 min"),
        (360_000.0, "100 h 00 min"),
    ];
    for (seconds, text) in cases {
        assert_eq!(
            duration(Duration::from_secs_f64(seconds)),
            text,
            "{seconds}"
        );
    }
}

fn copying_figures() -> Figures {
    Figures {
        phase: Phase::Copy,
        files_done: 1234,
        bytes_done: 13_207_024_435,
        bytes_per_second: Some(1_288_490_189),
        ..Figures::default()
    }
}

#[test]
fn the_line_shows_no_percentage_while_the_scan_goes_on() {
    assert_eq!(
        progress_line(&copying_figures()),
        "12.3 GiB  1,234 files  1.2 GiB/s  still listing"
    );
    assert_eq!(display(&copying_figures()), "12.3 GiB");
}

#[test]
fn the_line_shows_share_totals_and_time_left_once_the_scan_is_complete() {
    let figures = Figures {
        scan_complete: true,
        files_total: Some(300_000),
        bytes_total: Some(32_212_254_720),
        eta_seconds: Some(15),
        files_failed: 2,
        ..copying_figures()
    };
    assert_eq!(
        progress_line(&figures),
        "40%  12.3 GiB of 30.0 GiB  1,234 of 300,000 files  1.2 GiB/s  15 s left  2 failed"
    );
    assert_eq!(display(&figures), "40%");
}

#[test]
fn other_phases_say_what_they_do() {
    let at = |phase, files_deleted| {
        progress_line(&Figures {
            phase,
            files_deleted,
            ..Figures::default()
        })
    };
    assert_eq!(at(Phase::Waiting, 0), "waiting");
    assert_eq!(at(Phase::Delete, 1), "deleting  1 entry");
    assert_eq!(at(Phase::Delete, 1200), "deleting  1,200 entries");
    assert_eq!(at(Phase::Finish, 0), "finishing");
}
