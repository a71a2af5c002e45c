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
    let timeless = |update: &ProgressUpdate| ProgressUpdate {
        elapsed_seconds: 0.0,
        idle_seconds: 0.0,
        ..update.clone()
    };
    timeless(one) == timeless(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_owner_is_not_told_again_of_the_same_figures_whatever_time_a_mover_tells(
            times in any::<[u64; 4]>(),
            bytes_done in any::<u64>(),
        ) {
            // Also times that are no numbers.
            let [first, second] = [[times[0], times[1]], [times[2], times[3]]].map(|times| ProgressUpdate {
                bytes_done,
                elapsed_seconds: f64::from_bits(times[0]),
                idle_seconds: if times[1] % 2 == 0 { f64::NAN } else { f64::from_bits(times[1]) },
                ..ProgressUpdate::default()
            });
            let (mut pace, now) = (Pace::default(), Instant::now());
            prop_assert_eq!(pace.update(&first, now, SHORTEST), Note::Now);
            let later = now + 10 * SHORTEST;
            prop_assert_eq!(pace.update(&second, later, SHORTEST), Note::Later);
            prop_assert_eq!(pace.due(SHORTEST), None);
        }
    }
}
