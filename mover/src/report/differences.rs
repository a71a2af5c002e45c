//! What `blit verify` says: each difference on a line of stdout, and how it ended.

use std::io::{BufWriter, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use blit_crds::outcome::ExitCode;
use blit_engine::entry::Escaped;
use blit_engine::run::Summary;

use super::output::Output;
use super::record::{Record, SummaryRecord};
use super::summary::{Setting, of_run};
use super::text;

/// Prints what differs and where, one difference a line, names escaped.
pub struct Differences(Mutex<BufWriter<Box<dyn Write + Send>>>);

impl Differences {
    /// Prints to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Mutex::new(BufWriter::new(out)))
    }
}

impl Output for Differences {
    fn wants_entries(&self) -> bool {
        true
    }

    fn take(&self, record: &Record) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that has gone away is no error of the run.
        match record {
            Record::Entry { path, change, .. } => {
                let path = path.bytes().unwrap_or_default();
                let path: &[u8] = if path.is_empty() { b"." } else { &path };
                let _ = writeln!(out, "{change:<10}  {}", Escaped(path));
            }
            Record::Progress(_) | Record::Summary(_) => {
                let _ = out.flush();
            }
            _ => {}
        }
    }
}

/// Returns the last event of a verification.
pub fn of_verification(summary: &Summary, setting: &Setting) -> SummaryRecord {
    let record = of_run(summary, setting);
    let message = match record.code() {
        ExitCode::VerificationFailed => Some(format!(
            "{} found; `blit mirror --checksum` makes the destination equal to the source",
            differences(summary.differences)
        )),
        ExitCode::EntriesFailed => Some(format!(
            "{} could not be compared; mend what is named above, and run again",
            text::entries(summary.progress.files_failed)
        )),
        ExitCode::SourceChanged => Some(format!(
            "{} changed each time they were read; {}",
            text::files(summary.unstable),
            ExitCode::SourceChanged.remedy()
        )),
        _ => record.message.clone(),
    };
    SummaryRecord {
        public_message: message.clone(),
        message,
        differences: Some(summary.differences),
        bytes_compared: Some(summary.progress.bytes_compared),
        ..record
    }
}

/// Returns how a verification that found so many differences ended in one line, for people.
pub(super) fn line(summary: &SummaryRecord, found: u64) -> String {
    let took = Duration::try_from_secs_f64(summary.duration_seconds).unwrap_or_default();
    format!(
        "{} the same, {} found, compared {} in {}",
        text::files(summary.files_unchanged),
        differences(found),
        text::bytes(summary.bytes_compared.unwrap_or_default()),
        text::duration(took)
    )
}

fn differences(n: u64) -> String {
    match n {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        n => format!("{} differences", text::count(n)),
    }
}
