//! Figures as text for people: sizes, rates, durations, the progress line. Pure.

use std::time::Duration;

use super::figures::{Figures, Phase};

/// Binary units; a file system counts in them.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Returns a size with three digits that matter: `999 B`, `1.5 KiB`, `12.3 GiB`, `456 MiB`.
pub fn bytes(n: u64) -> String {
    if n < 1024 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = n as f64;
    let mut unit = 0;
    // 999.5 would be shown as 1000 of its unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Returns a throughput, for example `1.2 GiB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// Returns a number with thousands separated by commas.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of files, for example `1 file` or `1,234 files`.
pub fn files(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "file" } else { "files" })
}

/// Returns a number of directory entries, for example `1 entry` or `1,234 entries`.
pub fn entries(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "entry" } else { "entries" })
}

/// Returns a duration as a clock would be read: `0.4 s`, `12 s`, `3 min 07 s`, `2 h 05 min`.
pub fn duration(d: Duration) -> String {
    let tenths = (d.as_secs_f64() * 10.0).round() / 10.0;
    if tenths < 10.0 {
        return format!("{tenths:.1} s");
    }
    let seconds = d.as_secs_f64().round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration is not negative, and the cast saturates"
    )]
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Returns progress in a few characters: `41%`, and before the scan is complete `12.3 GiB`.
pub fn display(figures: &Figures) -> String {
    figures.percent().map_or_else(
        || bytes(figures.bytes_done),
        |percent| format!("{percent}%"),
    )
}

/// Returns the progress line of a terminal.
pub fn progress_line(figures: &Figures) -> String {
    let mut parts = Vec::new();
    match figures.phase {
        Phase::Waiting => parts.push("waiting".to_owned()),
        Phase::Delete => {
            parts.push(format!("deleting  {}", entries(figures.files_deleted)));
        }
        Phase::Finish => parts.push("finishing".to_owned()),
        Phase::Copy => parts.extend(copying(figures)),
    }
    if figures.files_failed > 0 {
        parts.push(format!("{} failed", count(figures.files_failed)));
    }
    parts.join("  ")
}

fn copying(figures: &Figures) -> Vec<String> {
    let mut parts = Vec::new();
    let totals = figures
        .files_total
        .zip(figures.bytes_total)
        .filter(|_| figures.scan_complete);
    match totals {
        Some((number, size)) => {
            parts.push(display(figures));
            parts.push(format!("{} of {}", bytes(figures.bytes_done), bytes(size)));
            parts.push(format!(
                "{} of {}",
                count(figures.files_done),
                files(number)
            ));
        }
        None => {
            parts.push(bytes(figures.bytes_done));
            parts.push(files(figures.files_done));
        }
    }
    if let Some(speed) = figures.bytes_per_second {
        parts.push(rate(speed));
    }
    if let Some(eta) = figures.eta_seconds {
        parts.push(format!(
            "{} left",
            duration(Duration::from_secs(eta.max(1)))
        ));
    }
    if totals.is_none() {
        parts.push("still listing".to_owned());
    }
    parts
}

#[cfg(test)]
mod tests;
