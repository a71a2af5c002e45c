//! What an operator can ask about a run that goes on: figures, what failed, what could not be kept.
//!
//! Phases are passed on at once, figures as they come.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use blit_proto::v2::{FailedEntry, PlaneTried, ProgressUpdate};

use super::figures::Figures;
use super::output::Output;
use super::record::Record;
use super::{rpc, status};

/// Entries that are named; the count is exact all the same.
const FAILED_ENTRIES: usize = 20;

/// How content travels.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plane {
    /// `Local`, `TCP` or `GRPC`.
    pub transport: &'static str,
    /// Content went to the network without a copy through memory.
    pub zero_copy: bool,
    /// Data planes that could not be used.
    pub tried: Vec<PlaneTried>,
}

/// Puts events together to the state of the run, and hands that to whoever publishes it.
pub struct Live<P, F> {
    plane: P,
    publish: F,
    state: Mutex<State>,
}

impl<P, F> Live<P, F>
where
    P: Fn() -> Plane + Send + Sync,
    F: Fn(ProgressUpdate) + Send + Sync,
{
    /// Asks `plane` how content travels each time, and calls `publish` with every new state.
    pub fn new(plane: P, publish: F) -> Self {
        Self {
            plane,
            publish,
            state: Mutex::new(State::new(Instant::now())),
        }
    }
}

impl<P, F> Output for Live<P, F>
where
    P: Fn() -> Plane + Send + Sync,
    F: Fn(ProgressUpdate) + Send + Sync,
{
    fn take(&self, record: &Record) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.take(record, now) {
            // Under the lock: an older state must not follow a newer one.
            (self.publish)(state.update((self.plane)(), now));
        }
    }
}

/// What is known so far. Pure: time is a parameter.
#[derive(Debug)]
struct State {
    figures: Figures,
    moved: Instant,
    failed: Vec<FailedEntry>,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            figures: Figures::default(),
            moved: now,
            failed: Vec::new(),
        }
    }

    /// Takes an event; returns true if there is something new to tell.
    fn take(&mut self, record: &Record, now: Instant) -> bool {
        match record {
            Record::Phase { phase } => {
                self.figures.phase = *phase;
                self.moved = now;
                true
            }
            Record::Progress(figures) => {
                if self.figures.advanced_to(figures) {
                    self.moved = now;
                }
                self.figures = figures.clone();
                true
            }
            Record::Error { path, message } => {
                if let Some(path) = path.bytes().filter(|_| self.failed.len() < FAILED_ENTRIES) {
                    let failed = status::failed_file(&path, message);
                    self.failed.push(FailedEntry {
                        path: failed.path,
                        error: failed.error,
                    });
                }
                false
            }
            Record::Start(_)
            | Record::Entry { .. }
            | Record::Note { .. }
            | Record::Slow { .. }
            | Record::Fallback { .. }
            | Record::Withheld { .. }
            | Record::Summary(_) => false,
        }
    }

    fn update(&self, plane: Plane, now: Instant) -> ProgressUpdate {
        ProgressUpdate {
            idle_seconds: now.saturating_duration_since(self.moved).as_secs_f64(),
            failed_entries: self.failed.clone(),
            transport: plane.transport.to_owned(),
            zero_copy: plane.zero_copy,
            tried: plane.tried,
            ..rpc::progress(&self.figures)
        }
    }
}

#[cfg(test)]
mod tests;
