//! When a run began, by a clock that may be set while it lasts. Pure; the time is a parameter.
//!
//! What a run wrote before the machine went down is told by the times of its files, which are those of the wall
//! clock. Once that is set back, what the run writes has times from before its beginning; so the beginning moves with it.

use std::time::Duration;

/// A moment, by two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// Of the wall clock: since 1970, or nothing where it says that it is earlier.
    pub wall: Duration,
    /// Of a clock that nobody sets: since the machine started.
    pub steady: Duration,
}

/// Returns the second of the wall clock in which a run began at `began`, as the wall clock counts `now`.
pub fn began_seconds(began: Moment, now: Moment) -> i64 {
    let elapsed = now.steady.saturating_sub(began.steady);
    let seconds = now.wall.saturating_sub(elapsed).as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall: f64, steady: u64) -> Moment {
        Moment {
            wall: Duration::from_secs_f64(wall),
            steady: Duration::from_secs(steady),
        }
    }

    #[test]
    fn as_long_as_nobody_sets_the_clock_the_beginning_stays() {
        let began = moment(1000.5, 10);
        for hour in 0..1000 {
            let passed = hour * 3600;
            let now = moment(1000.5 + passed as f64, 10 + passed);
            assert_eq!(began_seconds(began, now), 1000);
        }
    }

    #[test]
    fn the_beginning_moves_with_a_clock_that_is_set() {
        let began = moment(100_000.5, 10);
        // An hour later, and set back by two.
        assert_eq!(began_seconds(began, moment(96_400.5, 3610)), 92_800);
        // An hour later, and set forward by a day.
        assert_eq!(began_seconds(began, moment(190_000.5, 3610)), 186_400);
        // Set to the beginning of time.
        assert_eq!(began_seconds(began, moment(5.0, 3610)), 0);
    }
}
