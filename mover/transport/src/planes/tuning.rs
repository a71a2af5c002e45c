//! How many streams a session has: more where the path is long and is not filled, and as many as were seen to help. Pure:
//! time is a parameter, counted from the beginning of the session. The side that dials decides, whichever way content goes.
//!
//! A stream carries at most a window a round trip, and halves what it sends when a packet is lost; where the round trip is
//! short neither matters much. So the number is doubled while there is work, each
//! doubling is judged by what passes the sockets of the side that judges in a second, and the last one that did not help is
//! taken back.

use std::time::Duration;

use crate::tune::STREAMS;
use crate::wire::frame::CHUNK_BYTES;

/// The most streams of a session. With the six megabytes that Linux gives a socket unless it is told otherwise, of which
/// half are content, they fill 10 Gbit/s over 40 ms.
const MOST: usize = 16;

/// From this round trip on a path is long: below it one stream fills 10 Gbit/s with the same window.
const LONG: Duration = Duration::from_millis(2);

/// For how long is measured what so many streams bring.
const LOOK: Duration = Duration::from_secs(1);

/// By how much more streams have to bring more: less is noise.
const HELPS: f64 = 1.1;

/// How much has to pass at least before it is judged: large files are counted by pieces of four megabytes.
const ENOUGH: u64 = 64 << 20;

/// After this the answer may be another one; twice as long after each time that it was the same.
const AGAIN: Duration = Duration::from_secs(60);

/// For how long streams that are wanted may not be there before those that are have to do: a dial that fails takes up to
/// eleven seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is seen of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Bytes of content that were sent, or arrived, since the beginning.
    pub(crate) moved: u64,
    /// The shortest round trip of the streams; `None`: not known.
    pub(crate) round_trip: Option<Duration>,
    /// There is something for another stream to do.
    pub(crate) has_work: bool,
    /// Streams that take work.
    pub(crate) open: usize,
}

/// The decision.
#[derive(Debug)]
pub(crate) struct Tuning {
    wanted: usize,
    /// When the look began, and what had passed then.
    look: Option<(Duration, u64)>,
    /// How many there were before, and what they brought in a second.
    before: Option<(usize, f64)>,
    /// The first look with more streams does not count: they are slow in the beginning.
    is_new: bool,
    /// Since when some that are wanted have not been there.
    short: Option<Duration>,
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
            short: None,
            settled: None,
            again: AGAIN,
        }
    }
}

impl Tuning {
    /// Begins with so many streams.
    pub(crate) fn beginning_with(wanted: usize) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Takes what is seen now; returns how many streams are wanted from now on.
    pub(crate) fn look(&mut self, sample: &Sample, now: Duration) -> usize {
        if sample.open < self.wanted {
            // Nothing can be learned of streams that are not there.
            self.look = None;
            let since = *self.short.get_or_insert(now);
            if now.saturating_sub(since) >= PATIENCE {
                self.do_with(sample.open, now);
            }
            return self.wanted;
        }
        self.short = None;
        if !sample.has_work {
            // Nor of a source that had nothing to send.
            self.look = None;
            return self.wanted;
        }
        let (since, moved) = *self.look.get_or_insert((now, sample.moved));
        let took = now.saturating_sub(since);
        let brought = sample.moved.saturating_sub(moved);
        if took < LOOK || brought < ENOUGH {
            return self.wanted;
        }
        self.look = Some((now, sample.moved));
        let rate = brought as f64 / took.as_secs_f64();
        if std::mem::take(&mut self.is_new) {
            return self.wanted;
        }
        match self.before.take() {
            Some((fewer, was)) if rate < was * HELPS => self.settle(fewer, now),
            _ if self.may_grow(sample, now) => {
                self.before = Some((self.wanted, rate));
                self.wanted = (self.wanted * 2).min(MOST);
                self.is_new = true;
            }
            _ => {}
        }
        self.wanted
    }

    /// Those that are there have to do, if they are as many as a session begins with.
    fn do_with(&mut self, open: usize, now: Duration) {
        let enough = open.max(STREAMS as usize);
        if enough < self.wanted {
            self.before = None;
            self.is_new = false;
            self.short = None;
            self.settle(enough, now);
        }
    }

    fn settle(&mut self, wanted: usize, now: Duration) {
        self.wanted = wanted;
        self.again = match self.settled.replace(now) {
            None => AGAIN,
            Some(_) => self.again.saturating_mul(2),
        };
    }

    fn may_grow(&self, sample: &Sample, now: Duration) -> bool {
        let is_settled = (self.settled).is_some_and(|when| now.saturating_sub(when) < self.again);
        let is_long = sample.round_trip.is_some_and(|time| time >= LONG);
        is_long && !is_settled && self.wanted < MOST
    }
}

/// Returns true if there is something for another stream to do, as far as the side that receives can tell: it waits for more
/// content than the `open` streams can hold in pieces. Of files that fit the `window` no more than that is ever under way,
/// so that half of it is enough.
pub(crate) fn has_work(awaited: u64, open: usize, window: u64) -> bool {
    let pieces = (open as u64).saturating_mul(u64::from(CHUNK_BYTES));
    awaited > pieces.min(window / 2)
}

#[cfg(test)]
mod tests;
