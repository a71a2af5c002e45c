//! What the log says of strangers who are refused. They can come as often as they like, and must not fill it: the first of a
//! minute are told of in full, the others are counted, and the count is told.
//!
//! Non-goal: who is refused. Somebody who makes many lines hides what comes after them in the same minute, except its number.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// How many of an interval are told of in full.
const IN_FULL: u64 = 10;

/// After this the first are told of in full again.
const INTERVAL: Duration = Duration::from_secs(60);

/// What was refused at one door. What was counted and not told of yet is told of when it is dropped.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// What is refused there, for people.
    what: &'static str,
    count: Mutex<Count>,
}

/// Those of an interval.
#[derive(Debug, Default)]
struct Count {
    began: Option<Instant>,
    seen: u64,
}

/// What to say of one.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// All.
    InFull,
    /// That the others of the interval are counted only.
    LastOfAll,
    /// Nothing.
    Nothing,
}

impl Refusals {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            count: Mutex::default(),
        }
    }

    /// Counts one, and has it told of if there were few.
    pub(crate) fn tell(&self, in_full: impl FnOnce()) {
        let (before, said) = lock(&self.count).add(Instant::now());
        self.tell_count(before);
        match said {
            Said::InFull => in_full(),
            Said::LastOfAll => tracing::warn!(
                seconds = INTERVAL.as_secs(),
                "more {} are refused; those of this time are counted",
                self.what
            ),
            Said::Nothing => {}
        }
    }

    fn tell_count(&self, untold: u64) {
        if untold > 0 {
            tracing::warn!(untold, "{} were refused and only counted", self.what);
        }
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.tell_count(lock(&self.count).untold());
    }
}

impl Count {
    /// Counts one; returns how many of the interval before were not told of, where another one begins, and what to say of
    /// this.
    fn add(&mut self, now: Instant) -> (u64, Said) {
        let is_over = |began: Instant| now.saturating_duration_since(began) >= INTERVAL;
        let mut untold = 0;
        if self.began.is_none_or(is_over) {
            untold = self.untold();
            *self = Self {
                began: Some(now),
                seen: 0,
            };
        }
        self.seen = self.seen.saturating_add(1);
        let said = match self.seen {
            ..=IN_FULL => Said::InFull,
            seen if seen == IN_FULL + 1 => Said::LastOfAll,
            _ => Said::Nothing,
        };
        (untold, said)
    }

    fn untold(&self) -> u64 {
        self.seen.saturating_sub(IN_FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts so many at a time; returns what was said of them, and the count of those before.
    fn told(count: &mut Count, many: u64, now: Instant) -> (u64, u64, u64) {
        let (mut before, mut in_full, mut last) = (0, 0, 0);
        for _ in 0..many {
            let (untold, said) = count.add(now);
            before += untold;
            in_full += u64::from(said == Said::InFull);
            last += u64::from(said == Said::LastOfAll);
        }
        (before, in_full, last)
    }

    #[test]
    fn of_many_refusals_few_are_told_of_and_the_others_are_counted() {
        let (mut count, begin) = (Count::default(), Instant::now());
        assert_eq!(told(&mut count, 5, begin), (0, 5, 0));
        let later = begin + INTERVAL / 2;
        assert_eq!(told(&mut count, 1_000_000, later), (0, IN_FULL - 5, 1));
        assert_eq!(count.untold(), 1_000_005 - IN_FULL);
        let next = begin + INTERVAL;
        assert_eq!(told(&mut count, 3, next), (1_000_005 - IN_FULL, 3, 0));
        // Of those nothing is left to tell.
        assert_eq!(told(&mut count, 1, next + INTERVAL), (0, 1, 0));
    }

    #[test]
    fn whoever_comes_now_and_then_is_always_told_of() {
        let (mut count, begin) = (Count::default(), Instant::now());
        for hour in 0..100 {
            let now = begin + INTERVAL * 60 * hour;
            assert_eq!(count.add(now), (0, Said::InFull));
        }
    }
}
