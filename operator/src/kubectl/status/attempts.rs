//! The table of attempts. Pure.

use blit_crds::mirrorjob::{Attempt, MirrorJobStatus};
use jiff::Timestamp;

use crate::kubectl::text::{Line, Style, Table, Text, bytes, count, duration};

/// Returns the attempts as a table, the last one at the end; nothing while there is none.
pub(super) fn table(status: &MirrorJobStatus, now: Timestamp) -> Text {
    let mut text = Text::default();
    if status.attempts.is_empty() {
        return text;
    }
    text.gap();
    let mut table = Table::new(
        2,
        ["ATTEMPT", "STARTED", "TOOK", "COPIED", "NODE", "ENDED WITH"],
    );
    for attempt in &status.attempts {
        let (end, style) = end(attempt);
        table.row(
            [
                attempt.number.to_string(),
                started(attempt, now),
                took(attempt, now),
                bytes(attempt.bytes_done),
                attempt.node.clone().unwrap_or_default(),
                end,
            ],
            style,
        );
    }
    text.append(table.text());
    let shown = i32::try_from(status.attempts.len()).unwrap_or(i32::MAX);
    if status.attempts_total > shown {
        let earlier = count(i64::from(status.attempts_total.saturating_sub(shown)));
        text.push(Line::cut().and(format!("  and {earlier} before these"), Style::Dim));
    }
    text
}

fn started(attempt: &Attempt, now: Timestamp) -> String {
    attempt
        .start_time
        .as_ref()
        .map_or_else(String::new, |start| {
            format!("{} ago", duration(now.duration_since(start.0)))
        })
}

fn took(attempt: &Attempt, now: Timestamp) -> String {
    attempt
        .start_time
        .as_ref()
        .map_or_else(String::new, |start| {
            let end = attempt.end_time.as_ref().map_or(now, |end| end.0);
            duration(end.duration_since(start.0))
        })
}

fn end(attempt: &Attempt) -> (String, Style) {
    match (&attempt.end_time, &attempt.reason, attempt.exit_code) {
        (None, _, _) => ("(under way)".to_owned(), Style::Plain),
        (Some(_), None, _) => ("Complete".to_owned(), Style::Good),
        (Some(_), Some(reason), Some(code)) => (format!("{reason} ({code})"), Style::Warn),
        (Some(_), Some(reason), None) => (reason.clone(), Style::Warn),
    }
}
