//! The progress deadline of a destination: ends a run that does not move.
//!
//! It waits for figures on a thread of its own, so that it works while every other thread is stuck in a
//! system call. What cannot even be cancelled is left behind when the process ends.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::report::figures::Figures;

/// Figures that may wait to be looked at; they come once a second.
const PENDING: usize = 16;

/// Where figures are handed in. Dropping it ends the watch.
#[derive(Clone, Debug)]
pub struct Feed(SyncSender<Figures>);

impl Feed {
    /// Hands in figures; never blocks.
    pub fn figures(&self, figures: &Figures) {
        // A full queue means that there is enough to look at.
        let _ = self.0.try_send(figures.clone());
    }
}

/// Watches that figures move at least every `deadline`. If they do not, calls `stall`; if the run has not
/// ended `grace` later, calls `give_up`.
pub fn watch(
    deadline: Duration,
    grace: Duration,
    stall: impl FnOnce() + Send + 'static,
    give_up: impl FnOnce() + Send + 'static,
) -> std::io::Result<Feed> {
    let (sender, figures) = sync_channel(PENDING);
    std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            if wait_for_stall(&figures, deadline) {
                stall();
                if wait_for_end(&figures, grace) {
                    give_up();
                }
            }
        })?;
    Ok(Feed(sender))
}

/// Returns true when nothing has moved for the deadline, false when the run ended.
fn wait_for_stall(figures: &Receiver<Figures>, deadline: Duration) -> bool {
    let mut last: Option<Figures> = None;
    let mut until = Instant::now() + deadline;
    loop {
        match figures.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(figures) => {
                if last.as_ref().is_none_or(|last| last.advanced_to(&figures)) {
                    until = Instant::now() + deadline;
                }
                last = Some(figures);
            }
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Returns true when the run has not ended within the grace.
fn wait_for_end(figures: &Receiver<Figures>, grace: Duration) -> bool {
    let until = Instant::now() + grace;
    loop {
        match figures.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
