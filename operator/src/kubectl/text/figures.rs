//! Sizes, numbers, durations and times in words.

use jiff::{SignedDuration, Timestamp};

/// Binary units; a file system counts in them.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Returns a size with one decimal: `999 B`, `12.3 GiB`. A status counts in signed integers; a negative one is 0.
pub(in crate::kubectl) fn bytes(number: i64) -> String {
    let number = u64::try_from(number).unwrap_or(0);
    let unit = (number.max(1).ilog2() / 10) as usize;
    if unit == 0 {
        return format!("{number} B");
    }
    let tenths = (u128::from(number) * 10) >> (10 * unit);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Returns a throughput, for example `1.2 GiB/s`.
pub(in crate::kubectl) fn rate(bytes_per_second: i64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// Returns a number with its thousands separated.
pub(in crate::kubectl) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things: `1 entry`, `1,234 entries`.
pub(in crate::kubectl) fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Returns a duration as a clock would be read: `12 s`, `3 min 07 s`, `2 h 05 min`, `3 d 4 h`.
pub(in crate::kubectl) fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Returns a time in UTC to the second.
pub(in crate::kubectl) fn stamp(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.to_string()
}
