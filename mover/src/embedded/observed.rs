//! What is known about the two movers of an attempt, from what they said and how they ended. Pure, but
//! for the moment at which they met.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use blit_crds::mirrorjob::{FailedFile, Side, TriedTransport};
use blit_crds::outcome::{ExitCode, of_attempt};
use blit_engine::entry::Escaped;
use jiff::Timestamp;

use crate::report::figures::Figures;
use crate::report::record::{Listen, Record, SummaryRecord};
use crate::report::status;

/// Lines of a mover's diagnostics that are kept.
const LOG_LINES: usize = 20;
/// Bytes of a mover's diagnostics that a status may hold.
const LOG_BYTES: usize = 2048;
/// Failed entries that a status names.
const FAILED_FILES: usize = 20;

/// What is known about one mover.
#[derive(Debug, Default)]
pub(super) struct Mover {
    /// It has said that it is ready; its identity is read.
    pub started: bool,
    /// Where it listens.
    pub listen: Option<Listen>,
    /// Its last word.
    pub summary: Option<SummaryRecord>,
    /// How its process ended.
    pub ended: Option<ExitStatus>,
    log: VecDeque<String>,
}

/// What is known about an attempt.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// The mover that reads.
    pub source: Mover,
    /// The mover that writes.
    pub destination: Mover,
    /// The latest figures.
    pub figures: Option<Figures>,
    /// When the figures last moved.
    pub last_progress: Option<Timestamp>,
    /// The first entries that failed.
    pub failed_files: Vec<FailedFile>,
    /// Data planes that could not be used.
    pub tried: Vec<TriedTransport>,
    /// When the two movers began to talk.
    pub met: Option<Instant>,
    /// The mover that was told to end because the other one had.
    pub told: Option<Side>,
    /// A signal asked the run to end.
    pub interrupted: bool,
    /// `activeDeadlineSeconds` are over.
    pub overdue: bool,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// The exit code.
    pub code: ExitCode,
    /// The mover that explains it.
    pub side: Side,
    /// What happened and what helps; empty on success.
    pub message: String,
}

impl Mover {
    fn code(&self) -> Option<ExitCode> {
        let code = self.ended?.code()?;
        Some(
            u8::try_from(code)
                .ok()
                .and_then(ExitCode::from_code)
                .unwrap_or(ExitCode::OtherError),
        )
    }

    /// Keeps a line of diagnostics.
    pub(super) fn log(&mut self, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// Returns the end of the diagnostics, escaped.
    pub(super) fn log_tail(&self) -> String {
        let lines: Vec<_> = self
            .log
            .iter()
            .map(|l| Escaped(l.as_bytes()).to_string())
            .collect();
        let text = lines.join("\n");
        let mut start = text.len().saturating_sub(LOG_BYTES);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text[start..].to_owned()
    }
}

impl Observed {
    /// Returns one side.
    pub(super) fn side(&mut self, side: Side) -> &mut Mover {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    /// Takes an event that a mover reported at `now`.
    pub(super) fn event(&mut self, side: Side, record: &Record, now: Timestamp) {
        match record {
            Record::Start(start) => {
                let mover = self.side(side);
                mover.started = true;
                mover.listen = start.listen.clone();
            }
            Record::Summary(summary) => {
                // Where no plane could be used only who dials knows why, and it was no fallback.
                status::add_tried(&mut self.tried, summary.tried.iter().cloned());
                self.side(side).summary = Some((**summary).clone());
            }
            // Only the destination knows how far the run is; the source would count other things.
            Record::Progress(figures) if side == Side::Destination => {
                if self
                    .figures
                    .as_ref()
                    .is_none_or(|before| before.advanced_to(figures))
                {
                    self.last_progress = Some(now);
                }
                self.figures = Some(figures.clone());
            }
            Record::Phase { .. } if side == Side::Destination => {
                self.met.get_or_insert_with(Instant::now);
            }
            // Both sides say so.
            Record::Fallback { from, reason, .. } => {
                status::add_tried(&mut self.tried, status::tried(from, reason));
            }
            Record::Error { path, message } => {
                if let Some(path) = path
                    .bytes()
                    .filter(|_| self.failed_files.len() < FAILED_FILES)
                {
                    self.failed_files.push(status::failed_file(&path, message));
                }
            }
            _ => {}
        }
    }

    /// Returns true once both movers have read what they need from the disk.
    pub(super) fn both_started(&self) -> bool {
        self.source.started && self.destination.started
    }

    /// Judges the attempt when both movers have ended.
    pub(super) fn verdict(&self) -> Verdict {
        let (source, destination) = (self.code(Side::Source), self.code(Side::Destination));
        let attempt = of_attempt(source, destination);
        let explains_destination = destination == Some(attempt)
            || (destination.is_none() && source.is_none_or(|code| code == ExitCode::Complete));
        // Only who dials knows that no data plane could be used; the other one was left alone.
        let summary = self.source.summary.as_ref();
        let unavailable = attempt == ExitCode::PeerUnreachable
            && summary.is_some_and(|summary| summary.transport_unavailable);
        let side = if explains_destination && !unavailable {
            Side::Destination
        } else {
            Side::Source
        };
        let code = match attempt {
            // Whatever they were asked, they finished.
            ExitCode::Complete => ExitCode::Complete,
            _ if self.interrupted => ExitCode::Interrupted,
            _ if self.overdue => ExitCode::DeadlineExceeded,
            code => code,
        };
        Verdict {
            code,
            side,
            message: self.explain(code, side),
        }
    }

    /// A mover that had to leave because the other one was gone has nothing of its own to say.
    fn code(&self, side: Side) -> Option<ExitCode> {
        let mover = if side == Side::Source {
            &self.source
        } else {
            &self.destination
        };
        match mover.code() {
            None | Some(ExitCode::Interrupted) if self.told == Some(side) => {
                Some(ExitCode::PeerUnreachable)
            }
            code => code,
        }
    }

    fn explain(&self, code: ExitCode, side: Side) -> String {
        let general = || format!("{}; {}", code.meaning(), code.remedy());
        if code == ExitCode::Complete {
            return String::new();
        }
        if self.interrupted || self.overdue {
            return general();
        }
        // A mover that was killed is the cause, whatever the other one says about its loss.
        for (side, mover) in [
            (Side::Source, &self.source),
            (Side::Destination, &self.destination),
        ] {
            let signal = mover.ended.and_then(|status| status.signal());
            if let Some(signal) = signal.filter(|_| self.told != Some(side)) {
                let name = side.as_str();
                return format!(
                    "the {name} mover was ended by signal {signal} before it could report; run again: a \
                     second run resumes"
                );
            }
        }
        let mover = if side == Side::Source {
            &self.source
        } else {
            &self.destination
        };
        mover
            .summary
            .as_ref()
            .and_then(|summary| summary.message.clone())
            .unwrap_or_else(|| {
                mover.log.back().map_or_else(general, |line| {
                    let line = line.strip_prefix("error: ").unwrap_or(line);
                    format!("the {} mover: {}", side.as_str(), Escaped(line.as_bytes()))
                })
            })
    }
}

#[cfg(test)]
mod tests;
