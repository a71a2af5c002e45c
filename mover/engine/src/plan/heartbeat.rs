//! When the heart of a run beats: progress is told, and a batch or a piece of a listing that is not full leaves. Pure; time is a
//! parameter.

use std::time::Duration;

/// Between two beats.
pub const NORMAL: Duration = Duration::from_secs(1);
/// Between two beats while workers have nothing to do.
pub const STARVED: Duration = Duration::from_millis(500);

/// Returns the time between two beats.
pub const fn interval(starved: bool) -> Duration {
    match starved {
        true => STARVED,
        false => NORMAL,
    }
}

/// Remembers the last beat.
#[derive(Debug, Default)]
pub struct Heart {
    last: Duration,
}

impl Heart {
    /// Returns true if a beat is due at `now`, a time since the run began.
    pub fn beats(&mut self, now: Duration, starved: bool) -> bool {
        let beats = now.saturating_sub(self.last) >= interval(starved);
        if beats {
            self.last = now;
        }
        beats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(starved: bool) -> usize {
        let mut heart = Heart::default();
        (1..=7200)
            .filter(|half_second| heart.beats(STARVED * *half_second, starved))
            .count()
    }

    #[test]
    fn it_beats_once_a_second_and_twice_while_workers_starve() {
        assert_eq!(beats(false), 3600);
        assert_eq!(beats(true), 7200);
    }
}
