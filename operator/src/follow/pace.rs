//! When the owner of a job is told. Pure: time is a parameter.

use std::time::Duration;

use blit_proto::v2::ProgressUpdate;
use tokio::time::Instant;

/// Shortest time between two notes about one job.
const SHORTEST: Duration = Duration::from_secs(2);

/// How many notes a second there may be about all jobs together.
const NOTES_PER_SECOND: f64 = 5.0;

/// Returns the shortest time between two notes about a job while `running` jobs run: 2 s, and with many
/// jobs as much as keeps all notes together at five a second.
pub fn interval(running: usize) -> Duration {
    let many = Duration::from_secs_f64(running as f64 / NOTES_PER_SECOND);
    SHORTEST.max(many)
}

/// Remembers what the owner was told, and when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    told: Option<(Instant, ProgressUpdate)>,
    pending: bool,
}

/// What to do after an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Tell the owner now.
    Now,
    /// Not now.
    Later,
}

impl Pace {
    /// Returns whether the owner is to be told of an update at `now`.
    pub(super) fn update(
        &mut self,
        update: &ProgressUpdate,
        now: Instant,
        interval: Duration,
    ) -> Note {
        let Some((at, told)) = &self.told else {
            return self.tell(update, now);
        };
        let urgent = told.phase != update.phase || update.summary.is_some();
        if !urgent && same(told, update) {
            self.pending = false;
            return Note::Later;
        }
        if urgent || now.saturating_duration_since(*at) >= interval {
            return self.tell(update, now);
        }
        self.pending = true;
        Note::Later
    }

    /// Returns when an update that was held back is to be told, if there is one.
    pub(super) fn due(&self, interval: Duration) -> Option<Instant> {
        let (at, _) = self.told.as_ref().filter(|_| self.pending)?;
        Some(*at + interval)
    }

    /// Records that the owner is told at `now` of what was held back.
    pub(super) fn told(&mut self, update: &ProgressUpdate, now: Instant) {
        self.tell(update, now);
    }

    fn tell(&mut self, update: &ProgressUpdate, now: Instant) -> Note {
        self.told = Some((now, update.clone()));
        self.pending = false;
        Note::Now
    }
}

/// Returns true if nothing changed but time.
fn same(one: &ProgressUpdate, other: &ProgressUpdate) -> bool {
    let other = ProgressUpdate {
        elapsed_seconds: one.elapsed_seconds,
        idle_seconds: one.idle_seconds,
        ..other.clone()
    };
    *one == other
}
