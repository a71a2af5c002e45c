//! Throughput from a series of counters, smoothed. Pure: the time is a parameter.

use std::time::Duration;

/// Time constant of the smoothing. Long enough that one slow file does not make the figure jump, short
/// enough that a person sees within a few seconds that a transfer has become slow.
const TIME_CONSTANT: Duration = Duration::from_secs(4);

/// An exponential moving average of units a second, for measurements at uneven distances.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    last: Option<(Duration, u64)>,
    average: Option<f64>,
}

impl Rate {
    /// Takes the counter's value at `now` (time since the counter was 0) and returns units a second, or
    /// `None` where nothing can be said. The first measurement gives the rate since the start; it is no part
    /// of the average, because a start is slower than what follows.
    pub fn measure(&mut self, now: Duration, counter: u64) -> Option<f64> {
        let Some((then, before)) = self.last else {
            self.last = Some((now, counter));
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            return (counter > 0 && !now.is_zero()).then(|| counter as f64 / now.as_secs_f64());
        };
        let elapsed = now.saturating_sub(then).as_secs_f64();
        if elapsed <= 0.0 {
            return self.average;
        }
        self.last = Some((now, counter));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let current = counter.saturating_sub(before) as f64 / elapsed;
        let average = match self.average {
            None => current,
            Some(average) => {
                let keep = (-elapsed / TIME_CONSTANT.as_secs_f64()).exp();
                average * keep + current * (1.0 - keep)
            }
        };
        self.average = Some(average);
        self.average
    }
}

#[cfg(test)]
mod tests;
