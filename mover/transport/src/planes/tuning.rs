//! How many streams a session has: more where the path is long and is not filled, and as many as were seen to help. Pure:
//! time is a parameter, counted from the beginning of the session.
//!
//! A stream carries at most a window a round trip, and halves what it sends when a packet is lost; where the round trip is
//! short neither matters much. So the number is doubled while there is work, each
//! doubling is judged by what arrives at the sockets in a second, and the last one that did not help is taken back.

use std::time::Duration;

use crate::tune::STREAMS;

/// The most streams of a session. With the six megabytes that Linux gives a socket unless it is told otherwise, of which
/// half are content, they fill 10 Gbit/s over 40 ms.
const MOST: usize = 16;

/// From this round trip on a path is long: below it one stream fills 10 Gbit/s with the same window.
const LONG: Duration = Duration::from_millis(2);

/// For how long is measured what so many streams bring.
const LOOK: Duration = Duration::from_secs(1);

/// By how much more streams have to bring more: less is noise.
const HELPS: f64 = 1.1;

/// How much is sent at least before it is judged: large files are counted by pieces of four megabytes.
const ENOUGH: u64 = 64 << 20;

/// After this the answer may be another one; twice as long after each time that it was the same.
const AGAIN: Duration = Duration::from_secs(60);

/// What is seen of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Bytes of content that were sent since the beginning.
    pub(crate) sent: u64,
    /// The shortest round trip of the streams; `None`: not known.
    pub(crate) round_trip: Option<Duration>,
    /// There is work, and all streams that are wanted are open.
    pub(crate) is_busy: bool,
}

/// The decision.
#[derive(Debug)]
pub(crate) struct Tuning {
    wanted: usize,
    /// When the look began, and what had been sent then.
    look: Option<(Duration, u64)>,
    /// How many there were before, and what they brought in a second.
    before: Option<(usize, f64)>,
    /// The first look with more streams does not count: they are slow in the beginning.
    is_new: bool,
    settled: Option<Duration>,
    again: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            wanted: STREAMS as usize,
            look: None,
            before: None,
            is_new: false,
            settled: None,
            again: AGAIN,
        }
    }
}

impl Tuning {
    /// Takes what is seen now; returns how many streams are wanted from now on.
    pub(crate) fn look(&mut self, sample: &Sample, now: Duration) -> usize {
        if !sample.is_busy {
            // Nothing can be learned from a source that had nothing to send.
            self.look = None;
            return self.wanted;
        }
        let (since, sent) = *self.look.get_or_insert((now, sample.sent));
        let took = now.saturating_sub(since);
        let brought = sample.sent.saturating_sub(sent);
        if took < LOOK || brought < ENOUGH {
            return self.wanted;
        }
        self.look = Some((now, sample.sent));
        let rate = brought as f64 / took.as_secs_f64();
        if std::mem::take(&mut self.is_new) {
            return self.wanted;
        }
        match self.before.take() {
            Some((fewer, was)) if rate < was * HELPS => {
                self.wanted = fewer;
                self.again = match self.settled.replace(now) {
                    None => AGAIN,
                    Some(_) => self.again.saturating_mul(2),
                };
            }
            _ if self.may_grow(sample, now) => {
                self.before = Some((self.wanted, rate));
                self.wanted = (self.wanted * 2).min(MOST);
                self.is_new = true;
            }
            _ => {}
        }
        self.wanted
    }

    fn may_grow(&self, sample: &Sample, now: Duration) -> bool {
        let is_settled = (self.settled).is_some_and(|when| now.saturating_sub(when) < self.again);
        let is_long = sample.round_trip.is_some_and(|time| time >= LONG);
        is_long && !is_settled && self.wanted < MOST
    }
}

#[cfg(test)]
mod tests;
