//! When a run stands still, and which calls take long: judged from looks at its threads. Pure; time is a parameter.
//!
//! A run stalls when everybody waits for an internal queue, and nobody does anything, for [`LIMIT`]. A thread in a
//! system call is not idle, however long it takes: the call is named once, after [`LIMIT`], and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use crate::watch::{Doing, Seen};

/// How long all may be idle, and how long a call may take before it is named.
pub const LIMIT: Duration = Duration::from_secs(10);
/// Time between two looks.
pub const EVERY: Duration = Duration::from_millis(500);
/// What one look counts at most: a process that was stopped has not been idle meanwhile.
const STEP: Duration = Duration::from_secs(1);

/// What is seen at a moment.
#[derive(Debug)]
pub struct Look<'a> {
    /// The threads.
    pub threads: &'a [Seen],
    /// Counts of what shows that the run goes on, together.
    pub moved: u64,
    /// Another host works for this run, or may.
    pub busy_elsewhere: bool,
}

/// What follows from a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// All have been idle for the limit.
    pub stalled: bool,
    /// Threads whose call has taken as long as the limit, each named once.
    pub slow: Vec<Seen>,
}

/// Remembers from look to look.
#[derive(Debug, Default)]
pub struct Detector {
    last: Option<Duration>,
    idle: Duration,
    moved: u64,
    stamps: u64,
    calls: HashMap<u64, InCall>,
}

#[derive(Debug)]
struct InCall {
    stamp: u64,
    took: Duration,
    told: bool,
}

impl Detector {
    /// Takes a look at `now`, a time since any moment that stays the same.
    pub fn look(&mut self, now: Duration, look: &Look<'_>) -> Finding {
        let step = self
            .last
            .map_or(Duration::ZERO, |last| now.saturating_sub(last).min(STEP));
        self.last = Some(now);
        Finding {
            stalled: self.is_stalled(step, look),
            slow: self.slow(step, look.threads),
        }
    }

    fn is_stalled(&mut self, step: Duration, look: &Look<'_>) -> bool {
        let stamps = look
            .threads
            .iter()
            .fold(0_u64, |sum, seen| sum.wrapping_add(seen.stamp));
        let stands = stamps == self.stamps && look.moved == self.moved;
        (self.stamps, self.moved) = (stamps, look.moved);
        let idle = |seen: &Seen| matches!(seen.doing, Doing::Idle(_));
        let all_idle = !look.threads.is_empty() && look.threads.iter().all(idle);
        if all_idle && stands && !look.busy_elsewhere {
            self.idle += step;
        } else {
            self.idle = Duration::ZERO;
        }
        self.idle >= LIMIT
    }

    fn slow(&mut self, step: Duration, threads: &[Seen]) -> Vec<Seen> {
        let mut slow = Vec::new();
        let mut calls = HashMap::with_capacity(threads.len());
        for seen in threads {
            if !matches!(seen.doing, Doing::Call(_)) {
                continue;
            }
            let mut call = match self.calls.remove(&seen.thread) {
                Some(call) if call.stamp == seen.stamp => InCall {
                    took: call.took + step,
                    ..call
                },
                _ => InCall {
                    stamp: seen.stamp,
                    took: Duration::ZERO,
                    told: false,
                },
            };
            if call.took >= LIMIT && !call.told {
                call.told = true;
                slow.push(*seen);
            }
            calls.insert(seen.thread, call);
        }
        self.calls = calls;
        slow
    }

    /// The call is not slow by itself, so it is looked at again.
    pub fn not_yet(&mut self, thread: u64) {
        if let Some(call) = self.calls.get_mut(&thread) {
            call.told = false;
        }
    }
}

#[cfg(test)]
mod tests;
