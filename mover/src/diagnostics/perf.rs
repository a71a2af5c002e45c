//! `blit diagnostics perf`: the history of this machine as a table.

use std::io::{self, Write};
use std::time::Duration;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use super::table::{Align, table};
use crate::history::entry::{Body, Entry, Profile, Run};
use crate::history::file::{DISABLE, HistoryFile};
use crate::report::record::TimeSpent;
use crate::report::terminal::say;
use crate::report::text;

/// Shows the last `count` entries: as they are, or as tables.
pub fn run(count: usize, json: bool) -> ExitCode {
    let Some(history) = HistoryFile::of_user() else {
        say(&format!(
            "no history: {DISABLE} is set, or there is neither HOME nor XDG_CONFIG_HOME"
        ));
        return ExitCode::Complete;
    };
    let entries = match history.read() {
        Ok(entries) => entries,
        Err(error) => {
            let path = display_path(history.path());
            say(&format!(
                "error: cannot read `{path}`: {error}; remove it to begin a new one"
            ));
            return ExitCode::OtherError;
        }
    };
    let shown = &entries[entries.len().saturating_sub(count)..];
    let text = if json {
        shown
            .iter()
            .filter_map(|entry| serde_json::to_string(entry).ok())
            .map(|line| line + "\n")
            .collect()
    } else {
        format!(
            "{}\nThe history is `{}`; it stays on this machine.\n",
            describe(shown, &TimeZone::system()),
            display_path(history.path())
        )
    };
    // A reader that went away has what it wanted.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::Complete
}

/// Returns what is shown to people, newest last. Pure but for the rules of the time zone.
pub(crate) fn describe(entries: &[Entry], zone: &TimeZone) -> String {
    let runs: Vec<(&Entry, &Run)> = entries
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::Run(run) => Some((entry, &**run)),
            Body::Profile(_) => None,
        })
        .collect();
    let profiles: Vec<(&Entry, &Profile)> = entries
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::Profile(profile) => Some((entry, profile)),
            Body::Run(_) => None,
        })
        .collect();
    if runs.is_empty() && profiles.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let mut parts = Vec::new();
    if !runs.is_empty() {
        let rows: Vec<_> = runs.iter().map(|(e, run)| figures(e, run, zone)).collect();
        parts.push(table(&FIGURES, &rows));
        let rows: Vec<_> = runs.iter().map(|(e, run)| shares(e, run, zone)).collect();
        parts.push(format!(
            "Where the time of all threads went:\n\n{}",
            table(&SHARES, &rows)
        ));
    }
    if !profiles.is_empty() {
        let rows: Vec<_> = profiles
            .iter()
            .map(|(e, profile)| [vec![when(&e.time, zone)], measured(profile)].concat())
            .collect();
        parts.push(format!(
            "Measured by `blit profile`:\n\n{}",
            table(&MEASURED, &rows)
        ));
    }
    parts.join("\n")
}

const FIGURES: [(&str, Align); 11] = [
    ("when", Align::Left),
    ("what", Align::Left),
    ("file systems", Align::Left),
    ("copied", Align::Right),
    ("unchanged", Align::Right),
    ("deleted", Align::Right),
    ("bytes", Align::Right),
    ("planned", Align::Right),
    ("first byte", Align::Right),
    ("took", Align::Right),
    ("result", Align::Left),
];

fn figures(entry: &Entry, run: &Run, zone: &TimeZone) -> Vec<String> {
    vec![
        when(&entry.time, zone),
        match run.transport.as_str() {
            "Local" => run.operation.clone(),
            transport => format!("{} {transport}", run.operation),
        },
        run.file_systems.name(),
        text::count(run.files_copied),
        text::count(run.files_unchanged),
        text::count(run.files_deleted),
        text::bytes(run.bytes_copied),
        optional(run.planning_seconds),
        optional(run.seconds_to_first_byte),
        seconds(run.duration_seconds),
        run.result.clone(),
    ]
}

const SHARES: [(&str, Align); 9] = [
    ("when", Align::Left),
    ("scan", Align::Right),
    ("read", Align::Right),
    ("write", Align::Right),
    ("metadata", Align::Right),
    ("delete", Align::Right),
    ("wait", Align::Right),
    ("flush to disk", Align::Right),
    ("workers", Align::Right),
];

fn shares(entry: &Entry, run: &Run, zone: &TimeZone) -> Vec<String> {
    let mut row = vec![when(&entry.time, zone)];
    let spent = run.time_spent.unwrap_or_default();
    row.extend(parts(&spent).map(|part| share(part, parts(&spent).iter().sum())));
    row.push(match run.sync_seconds {
        0.0 => "-".to_owned(),
        time => seconds(time),
    });
    row.push(
        run.workers
            .map_or_else(|| "-".to_owned(), |count| count.to_string()),
    );
    row
}

/// Returns one measurement for people.
pub(super) fn describe_profile(profile: &Profile) -> String {
    table(&MEASURED[1..], &[measured(profile)])
}

const MEASURED: [(&str, Align); 5] = [
    ("when", Align::Left),
    ("file system", Align::Left),
    ("small files/s", Align::Right),
    ("large file", Align::Right),
    ("fsync", Align::Right),
];

fn measured(profile: &Profile) -> Vec<String> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "figures for people; the cast saturates"
    )]
    let whole = |value: f64| value as u64;
    vec![
        profile.file_system.clone(),
        text::count(whole(profile.small_files_per_second)),
        text::rate(whole(profile.large_bytes_per_second)),
        seconds(profile.fsync_seconds),
    ]
}

fn parts(spent: &TimeSpent) -> [f64; 6] {
    let TimeSpent {
        scan,
        read,
        write,
        metadata,
        delete,
        wait,
    } = *spent;
    [scan, read, write, metadata, delete, wait]
}

fn share(part: f64, all: f64) -> String {
    if all > 0.0 {
        format!("{:.0}%", part / all * 100.0)
    } else {
        "-".to_owned()
    }
}

fn optional(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), seconds)
}

/// Returns a time as figures that matter: `2 ms`, `0.35 s`, and from 10 s on as a clock is read.
pub(crate) fn seconds(time: f64) -> String {
    if time < 0.1 {
        format!("{:.1} ms", time * 1000.0)
    } else if time < 10.0 {
        format!("{time:.2} s")
    } else {
        text::duration(Duration::try_from_secs_f64(time).unwrap_or_default())
    }
}

fn when(time: &str, zone: &TimeZone) -> String {
    let local = time
        .parse::<Timestamp>()
        .and_then(|time| time.round(Unit::Second))
        .map(|time| time.to_zoned(zone.clone()).strftime("%F %T").to_string());
    local.unwrap_or_else(|_| "?".to_owned())
}

#[cfg(test)]
mod tests;
