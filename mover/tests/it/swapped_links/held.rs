//! When calls were held up, as strace records it, and what was exchanged meanwhile.
//!
//! Both sides take the time of day: it is the one clock that strace writes down.

use std::ops::Range;
use std::time::Duration;

/// From when to when a call was held up, since 1970.
pub(super) type Span = Range<Duration>;

/// Returns when each call was held up that strace has recorded with `-f`, `-ttt` and `-T`.
pub(super) fn spans(record: &str) -> Vec<Span> {
    record.lines().filter_map(span).collect()
}

/// A call in the middle of which others were recorded has two lines, and its end is at the second. One that never
/// ended tells of no time.
fn span(line: &str) -> Option<Span> {
    let (_process, told) = line.trim_start().split_once(' ')?;
    let (at, call) = told.trim_start().split_once(' ')?;
    let (_, took) = call.strip_suffix('>')?.rsplit_once('<')?;
    let (at, took) = (seconds(at)?, seconds(took)?);
    Some(match call.starts_with("<... ") {
        true => at.saturating_sub(took)..at,
        false => at..at + took,
    })
}

/// Reads seconds with six digits behind the point.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, micros) = text.split_once('.')?;
    let (whole, micros) = (whole.parse().ok()?, micros.parse().ok()?);
    Some(Duration::from_secs(whole) + Duration::from_micros(micros))
}

/// Returns in how many spans something was exchanged, and how many exchanges there were in all of them. The moments of
/// exchanges are in their order; one in two spans counts once.
pub(super) fn raced(moments: &[Duration], mut spans: Vec<Span>) -> (usize, u64) {
    spans.sort_by_key(|span| span.start);
    let before = |moment| moments.partition_point(|exchanged| *exchanged < moment);
    let (mut met, mut swaps, mut counted) = (0, 0, 0);
    for span in spans {
        let (from, to) = (before(span.start), before(span.end));
        met += usize::from(from < to);
        swaps += to.saturating_sub(from.max(counted));
        counted = to.max(counted);
    }
    (met, swaps as u64)
}

#[test]
fn the_time_in_which_a_call_was_held_up_is_read_from_its_last_line() {
    let record = "\
        77    1700000000.000100 mkdirat(5, \"<odd>\", 0700) = 0 (DELAYED) <0.000300>\n\
        78    1700000000.000200 openat(5, \"a\", O_RDONLY <unfinished ...>\n\
        77    1700000000.000700 renameat(5, \"a\", 5, \"b\") = -1 ENOENT (No such file) (DELAYED) <0.000100>\n\
        78    1700000000.000900 <... openat resumed>) = 6 (DELAYED) <0.000600>\n\
        79    1700000000.001000 unlinkat(5, \"a\", 0) = ?\n";
    let since = Duration::from_secs(1_700_000_000);
    let at = |span: Span| [span.start, span.end].map(|end| (end - since).as_micros());
    let found: Vec<_> = spans(record).into_iter().map(at).collect();
    assert_eq!(found, [[100, 400], [700, 800], [300, 900]]);
}

#[test]
fn an_exchange_in_two_spans_counts_once_and_one_in_none_does_not() {
    let time = Duration::from_millis;
    let moments = [1, 5, 10, 11, 12, 19, 20, 40].map(time);
    let spans = [(30, 35), (10, 20), (4, 12), (14, 16)];
    let spans = spans.map(|(from, to)| time(from)..time(to)).to_vec();
    assert_eq!(raced(&moments, spans), (2, 5));
}
