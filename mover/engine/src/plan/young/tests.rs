use std::time::Duration;

use super::ripens_in;
use crate::entry::{Kind, Meta, Time};

fn at(seconds: i64, nanoseconds: u32) -> Time {
    Time {
        seconds,
        nanoseconds,
    }
}

/// A file that was last written to at this time, on a file system that stamps with these nanoseconds.
fn written(mtime: Time, ctime_nanoseconds: u32) -> Meta {
    Meta {
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 1,
        blocks: 8,
        mtime,
        ctime: at(mtime.seconds, ctime_nanoseconds),
        rdev: (0, 0),
        dev: (0, 1),
        ino: 1,
        nlink: 1,
    }
}

const MILLISECOND: u32 = 1_000_000;

#[test]
fn a_file_is_young_for_two_ticks() {
    let meta = written(at(100, 5 * MILLISECOND), 5 * MILLISECOND);
    let ripens = |nanoseconds| ripens_in(&meta, at(100, nanoseconds));
    assert_eq!(ripens(5 * MILLISECOND), Some(Duration::from_millis(20)));
    assert_eq!(ripens(22 * MILLISECOND), Some(Duration::from_millis(3)));
    assert_eq!(ripens(25 * MILLISECOND), None);
    assert_eq!(ripens_in(&meta, at(200, 0)), None);
}

#[test]
fn it_is_young_for_two_seconds_where_only_those_are_kept() {
    let meta = written(at(100, 0), 0);
    assert_eq!(
        ripens_in(&meta, at(101, 500 * MILLISECOND)),
        Some(Duration::from_millis(500))
    );
    assert_eq!(ripens_in(&meta, at(102, 0)), None);
    // A time that happens to be whole, beside one that is not.
    let fine = written(at(100, 0), 1);
    assert_eq!(ripens_in(&fine, at(101, 500 * MILLISECOND)), None);
}

#[test]
fn a_file_that_was_given_an_old_time_need_not_ripen() {
    // Its next change gets another time.
    let mut meta = written(at(1, 1), 1);
    meta.ctime = at(100, 1);
    assert_eq!(ripens_in(&meta, at(100, 2)), None);
}

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let meta = written(at(5000, 7), 7);
    assert_eq!(ripens_in(&meta, at(1400, 0)), None);
    // The clock may come to that yet.
    let soon = ripens_in(&meta, at(4999, 999_999_999));
    assert_eq!(soon, Some(Duration::from_millis(20)));
}

#[test]
fn times_at_the_ends_of_what_can_be_stored_are_no_trouble() {
    for seconds in [i64::MIN, i64::MAX] {
        let meta = written(at(seconds, 0), 0);
        assert_eq!(ripens_in(&meta, at(0, 0)), None);
        assert_eq!(ripens_in(&written(at(0, 0), 0), at(seconds, 0)), None);
    }
}
