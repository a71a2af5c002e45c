//! The performance history: one line of figures for each run of `copy`, `mirror`, `push`, `pull` and `run -f` that was started on
//! this machine, and for each measurement by `profile`. A daemon writes none of what others started.
//!
//! Invariants: it stays on this machine; it holds figures and kinds of file systems, and no name of a file or
//! a directory; nothing that goes wrong with it is a failure of a run, and nothing that it waits for holds up a
//! run for longer than a moment; lines of several runs at once do not mix.
//!
//! Non-goals: pods, whose figures are metrics of the cluster; accounting, because old lines are dropped.

pub mod entry;
pub mod file;
pub mod place;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use blit_engine::plan::predictor::Predictor;
use entry::{Body, Entry, Run};
use file::HistoryFile;
use place::FileSystems;

/// How long a run waits to learn from those before it.
const PATIENCE: Duration = Duration::from_millis(50);

/// Writes down a run that is over, unless that is switched off. What fails is nobody's business but a debugger's.
pub fn remember(run: Run) {
    let Some(file) = HistoryFile::of_user() else {
        return;
    };
    if let Err(error) = file.append(&Entry::now(Body::Run(Box::new(run)))) {
        tracing::debug!(%error, "the performance history was not written");
    }
}

/// Returns with how many workers a run on this host is to begin, as the newest runs between such file systems found; `None` where they
/// say nothing.
pub fn foreseen_workers(places: &FileSystems) -> Option<usize> {
    let file = HistoryFile::of_user()?;
    let (read, entries) = mpsc::channel();
    // A home directory that does not answer holds up nobody; the thread goes with the process.
    let reader = thread::Builder::new().spawn(move || read.send(file.read_newest()));
    let entries = reader
        .ok()
        .and_then(|_| entries.recv_timeout(PATIENCE).ok())?;
    match entries {
        Ok(entries) => foreseen(&entries, places),
        Err(error) => {
            tracing::debug!(%error, "the performance history was not read");
            None
        }
    }
}

/// Learns from entries, oldest first.
fn foreseen(entries: &[Entry], places: &FileSystems) -> Option<usize> {
    let mut predictor = Predictor::default();
    for entry in entries {
        if let Body::Run(run) = &entry.body
            && run.transport == "Local"
            && run.file_systems == *places
            && let Some(workers) = run.workers
        {
            predictor.learn(workers);
        }
    }
    predictor.first()
}

#[cfg(test)]
mod tests;
