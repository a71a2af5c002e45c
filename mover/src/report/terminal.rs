//! What a person at a terminal sees, all on stderr: a progress line that overwrites itself, diagnostics
//! above it, one line at the end. Names are escaped; a file name cannot move the cursor.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use blit_engine::entry::Escaped;
use blit_engine::run::RESERVED;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use super::record::{EntryPath, Record, SummaryRecord};
use super::{summary, text};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);
/// Distance of progress lines where they cannot overwrite each other, as in a log.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Not at all.
    Hidden,
    /// As a line that overwrites itself.
    Live,
    /// As a line every few seconds.
    Lines,
}

impl Style {
    /// Chooses: a live line on a terminal; lines elsewhere, if `always`; nothing if `never`.
    pub fn choose(always: bool, never: bool) -> Self {
        match (never, std::io::stderr().is_terminal(), always) {
            (true, ..) | (false, false, false) => Self::Hidden,
            (false, true, _) => Self::Live,
            (false, false, true) => Self::Lines,
        }
    }
}

/// The screen: whoever writes to stderr while a run is under way writes through it.
#[derive(Clone, Debug)]
pub struct Screen {
    bar: ProgressBar,
    style: Style,
}

impl Screen {
    /// Makes a screen; it shows nothing before the first progress.
    pub fn new(style: Style) -> Self {
        let target = match style {
            Style::Live => ProgressDrawTarget::stderr(),
            Style::Hidden | Style::Lines => ProgressDrawTarget::hidden(),
        };
        Self::on(style, target)
    }

    fn on(style: Style, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, style }
    }

    /// Writes bytes to stderr, above the progress line. Errors are ignored: there is no other place.
    pub fn write(&self, bytes: &[u8]) {
        self.bar.suspend(|| {
            let mut stderr = std::io::stderr().lock();
            let _ = stderr.write_all(bytes);
        });
    }

    /// Writes a line to stderr, above the progress line.
    pub fn line(&self, line: &str) {
        self.write(format!("{}\n", plain(line)).as_bytes());
    }

    /// Writes to stdout; a progress line on the same terminal steps aside. Fails when nobody reads any more.
    pub fn stdout(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.bar.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        })
    }

    fn progress(&self, line: String) {
        match self.style {
            Style::Hidden => {}
            Style::Lines => self.line(&line),
            Style::Live => {
                self.bar.enable_steady_tick(TICK);
                self.bar.set_message(line);
            }
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a line to stderr where no run is under way. Errors are ignored: there is no other place.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", plain(line));
}

/// Returns what is to be shown with control characters escaped, all but the ends of lines: it may hold what somebody
/// else wrote.
fn plain(text: &str) -> String {
    let lines: Vec<_> = text
        .split('\n')
        .map(|line| Escaped(line.as_bytes()).to_string())
        .collect();
    lines.join("\n")
}

/// Returns what somebody else wrote as a part of one line.
fn told(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}

/// Shows the events of a run to a person.
pub struct Terminal {
    screen: Screen,
    quiet: bool,
    verbose: bool,
    last_line: Mutex<Option<Instant>>,
}

impl Terminal {
    /// Shows events on `screen`: with `quiet` errors only, with `verbose` notes as well.
    pub fn new(screen: Screen, quiet: bool, verbose: bool) -> Self {
        Self {
            screen,
            quiet,
            verbose,
            last_line: Mutex::new(None),
        }
    }

    /// Returns true if a line of progress is due. A live line always is.
    fn is_due(&self, now: Instant) -> bool {
        if self.screen.style == Style::Live {
            return true;
        }
        let mut last = self
            .last_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| now.duration_since(at) >= LINE_INTERVAL);
        if due {
            *last = Some(now);
        }
        due
    }

    fn summary(&self, record: &SummaryRecord) {
        self.screen.clear();
        if let Some(message) = &record.message {
            self.screen.line(&format!("error: {}", told(message)));
        }
        let done = [
            record.files_copied,
            record.files_unchanged,
            record.files_deleted,
        ];
        let begun = done.iter().any(|count| *count > 0);
        if self.quiet || (record.message.is_some() && !begun) {
            return;
        }
        for (kind, found) in &record.not_kept {
            self.screen
                .line(&not_kept_line(kind, found.count, &found.names));
        }
        self.screen.line(&summary::line(record));
    }
}

impl Output for Terminal {
    fn take(&self, record: &Record) {
        match record {
            Record::Progress(figures) => {
                if self.screen.style != Style::Hidden && self.is_due(Instant::now()) {
                    self.screen.progress(text::progress_line(figures));
                }
            }
            Record::Summary(record) => self.summary(record),
            other => {
                if let Some(line) = diagnostic(other, self.verbose) {
                    self.screen.line(&line);
                }
            }
        }
    }
}

/// Returns what is to be said about a record, if anything is.
fn diagnostic(record: &Record, verbose: bool) -> Option<String> {
    match record {
        Record::Error { path, message } => {
            Some(format!("error: {}{}", prefix(path), told(message)))
        }
        Record::Withheld { path, reason } => Some(format!(
            "warning: nothing is deleted below {}: {}",
            named(path),
            told(reason)
        )),
        Record::Slow {
            call,
            path,
            seconds,
        } => Some(format!(
            "warning: {} of {} has not returned for {seconds:.0} s",
            told(call),
            named(path)
        )),
        Record::Fallback { from, to, reason } => Some(format!(
            "warning: {from} cannot be used: {reason}; data travels by {to} instead"
        )),
        Record::Note {
            path,
            kind,
            message,
        } if verbose || kind == RESERVED => {
            let (kind, message) = (told(kind), told(message));
            Some(format!("note: {}{kind}: {message}", prefix(path)))
        }
        _ => None,
    }
}

fn prefix(path: &EntryPath) -> String {
    path.bytes()
        .map_or_else(String::new, |bytes| format!("{}: ", Escaped(&bytes)))
}

fn named(path: &EntryPath) -> String {
    match path.bytes() {
        Some(bytes) if !bytes.is_empty() => format!("`{}`", Escaped(&bytes)),
        _ => "the root".to_owned(),
    }
}

/// Names shown of what could not be kept; the events have more.
const NAMES: usize = 3;

fn not_kept_line(kind: &str, count: u64, names: &[String]) -> String {
    let shown = names
        .iter()
        .take(NAMES)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let more = if count > NAMES as u64 { ", …" } else { "" };
    format!(
        "warning: {} could not be kept on {} ({}{more})",
        told(kind),
        text::entries(count),
        told(&shown)
    )
}

#[cfg(test)]
mod tests;
