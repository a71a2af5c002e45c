//! Turns the engine's events into records: the only place that knows both.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use blit_engine::entry::{Escaped, Kind};
use blit_engine::run::events::{self, Event, Events, Progress};

use super::figures::{Figures, Phase};
use super::output::Output;
use super::rate::Rate;
use super::record::{EntryPath, Record};

/// Receives the events of one run of the engine and hands records to an output.
pub struct Reporter<O> {
    output: O,
    wants_entries: bool,
    tracker: Mutex<Tracker>,
}

impl<O: Output> Reporter<O> {
    /// Reports to `output`.
    pub fn new(output: O) -> Self {
        let wants_entries = output.wants_entries();
        Self {
            output,
            wants_entries,
            tracker: Mutex::default(),
        }
    }

    /// Returns the output, for records that do not come from the engine.
    pub fn output(&self) -> &O {
        &self.output
    }
}

impl<O: Output> Events for Reporter<O> {
    fn event(&self, event: &Event<'_>) {
        let tracker = || self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let record = match event {
            Event::Phase(phase) => Record::Phase {
                phase: tracker().phase(*phase),
            },
            Event::Progress(progress) => Record::Progress(tracker().figures(progress)),
            Event::Entry { .. } if !self.wants_entries => return,
            Event::Entry {
                path,
                change,
                item,
                target,
            } => Record::Entry {
                path: EntryPath::new(path),
                change: change.name().to_owned(),
                itemize: String::from_utf8_lossy(&item.code(*change)).into_owned(),
                directory: item.kind == Kind::Directory,
                target: target.map(|target| Escaped(target).to_string()),
            },
            Event::Difference { .. } if !self.wants_entries => return,
            Event::Difference { path, what } => Record::Entry {
                path: EntryPath::new(path),
                change: (*what).to_owned(),
                itemize: String::new(),
                directory: false,
                target: None,
            },
            Event::Note {
                path,
                kind,
                message,
            } => Record::Note {
                path: EntryPath::new(path),
                kind: (*kind).to_owned(),
                message: message.clone(),
            },
            Event::Failed { path, message } => Record::Error {
                path: EntryPath::new(path),
                message: message.clone(),
            },
            Event::Slow { call, path, took } => Record::Slow {
                call: (*call).to_owned(),
                path: EntryPath::new(path),
                seconds: took.as_secs_f64(),
            },
            Event::Withheld { path, reason } => Record::Withheld {
                path: EntryPath::new(path),
                reason: reason.clone(),
            },
        };
        self.output.take(&record);
    }

    fn wants_entries(&self) -> bool {
        self.wants_entries
    }
}

/// Remembers what a rate and a phase need. Pure: time comes with the figures.
#[derive(Debug, Default)]
struct Tracker {
    phase: Phase,
    bytes: Rate,
    files: Rate,
}

impl Tracker {
    fn phase(&mut self, phase: events::Phase) -> Phase {
        self.phase = match phase {
            events::Phase::Copy => Phase::Copy,
            events::Phase::Delete => Phase::Delete,
            events::Phase::Finish => Phase::Finish,
        };
        self.phase
    }

    fn figures(&mut self, progress: &Progress) -> Figures {
        let mut figures = Figures {
            phase: self.phase,
            ..totals(progress)
        };
        let bytes_rate = self.bytes.measure(progress.elapsed, progress.bytes_copied);
        let files_rate = self.files.measure(progress.elapsed, figures.files_done);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is not negative, and the cast saturates"
        )]
        let whole = |rate: f64| rate as u64;
        figures.bytes_per_second = bytes_rate.map(whole);
        figures.eta_seconds = bytes_rate
            .zip(files_rate)
            .and_then(|(bytes, files)| figures.eta(bytes, files))
            .map(|left: Duration| left.as_secs());
        figures
    }
}

/// Translates the engine's counters, without rates.
pub(super) fn totals(progress: &Progress) -> Figures {
    let total = |n: u64| progress.scan_complete.then_some(n);
    Figures {
        scan_complete: progress.scan_complete,
        files_done: progress.files_copied
            + progress.files_unchanged
            + progress.files_different
            + progress.files_failed,
        files_found: progress.files_total,
        files_total: total(progress.files_total),
        bytes_done: progress.bytes_copied + progress.bytes_unchanged,
        bytes_found: progress.bytes_total,
        bytes_total: total(progress.bytes_total),
        files_copied: progress.files_copied,
        files_unchanged: progress.files_unchanged,
        bytes_copied: progress.bytes_copied,
        bytes_compared: progress.bytes_compared,
        bytes_hashed: progress.bytes_hashed,
        files_deleted: progress.files_deleted,
        files_failed: progress.files_failed,
        metadata_repaired: progress.metadata_repaired,
        not_kept: progress
            .not_kept
            .iter()
            .map(|(kind, n)| ((*kind).to_owned(), *n))
            .collect(),
        elapsed_seconds: progress.elapsed.as_secs_f64(),
        ..Figures::default()
    }
}

#[cfg(test)]
mod tests;
