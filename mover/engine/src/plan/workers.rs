//! How many workers a run has: more where they wait for a file system, and never more than help. Pure; time is a
//! parameter.
//!
//! A disk beside the processors keeps them busy with a worker each. A file system behind a network answers each call
//! after milliseconds and many calls at once, and a worker that waits costs nothing. So while the processors are mostly
//! idle and every worker has something to do, their number is doubled for a trial, and stays where that gets more done; else it is
//! as before, and left at that for a while. Fewer are tried too, and stay where they are as good. Only a number that was compared with another counts as
//! learned, so that a history does not confirm itself.
//!
//! On one processor there is one worker while it keeps the processor busy: a second one costs a tenth. From the first time that it
//! does not there are two at least.
//!
//! What is done is counted in entries, not in bytes: a large file takes as long as its bytes take, whoever else works.

use std::time::Duration;

/// Upper bound. A worker takes a stack and a buffer; file systems behind a network serve about as many calls at once.
pub const MOST: usize = 32;
/// Share of the processors' time below which they count as idle.
const IDLE: f64 = 0.5;
/// Share from which workers only stand in each other's way.
const BUSY: f64 = 0.9;
/// Share of the workers' time that goes by without work from which their number is not what matters.
const LACKING: f64 = 0.3;
/// How many times as much is done where more workers helped.
const GAIN: f64 = 1.25;
/// How many times as much is still done where fewer are as good.
const AS_GOOD: f64 = 0.9;
/// Calls after which a look is long enough, and without which one tells nothing.
const CALLS: (u64, u64) = (128, 32);
/// What is looked at before anything is changed, at least and, without enough calls, at most.
const WINDOW: (Duration, Duration) = (Duration::from_millis(900), Duration::from_secs(10));
/// Share below which a second worker on one processor brings more than it costs.
const WORTH_COMPANY: f64 = 0.8;
/// What is looked at before a worker that is alone gets company; less than passes from look to look.
const COMPANY_AFTER: Duration = Duration::from_millis(400);
/// How long nothing is tried after a trial that did not help, the first time and, doubled each time, at most.
const REST: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(300));
/// How long after a trial in which workers lacked work.
const SHORT_REST: Duration = Duration::from_secs(2);
/// How long after the beginning fewer are not tried where the processors are not busy: what a run begins with is believed that long.
const BELIEVED: Duration = Duration::from_secs(10);

/// What is seen at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Since any moment that stays the same.
    pub now: Duration,
    /// Processor time that the process has used.
    pub processor: Duration,
    /// What was done, in units of what listing one entry takes.
    pub calls: u64,
    /// Time that the workers together have waited for something to do.
    pub waited: Duration,
}

/// Remembers from look to look.
#[derive(Debug)]
pub struct Workers {
    processors: usize,
    least: usize,
    count: usize,
    /// The first look of what is looked at.
    window: Option<Look>,
    /// The same, where it matters only whether a worker that is alone keeps the processor busy.
    alone: Option<Look>,
    trial: Option<Trial>,
    rests_until: Duration,
    rest: Duration,
    /// More did not help when they were tried last.
    enough: bool,
    /// Something has been learned.
    compared: bool,
}

/// How it was before.
#[derive(Debug)]
struct Trial {
    count: usize,
    rate: f64,
}

impl Workers {
    /// Begins with so many workers, or as many as there are processors; never with fewer than that.
    pub fn new(first: Option<usize>, processors: usize) -> Self {
        let processors = processors.max(1);
        Self {
            processors,
            least: processors,
            count: first.map_or(processors, |first| {
                first.clamp(processors, MOST.max(processors))
            }),
            window: None,
            alone: None,
            trial: None,
            rests_until: Duration::ZERO,
            rest: REST.0,
            enough: false,
            compared: false,
        }
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns how many turned out right; `None` while nothing has been learned.
    pub fn proven(&self) -> Option<usize> {
        let before = self.trial.as_ref().map(|trial| trial.count);
        self.compared.then(|| before.unwrap_or(self.count))
    }

    /// Takes a look, and returns how many there should be from now on.
    pub fn look(&mut self, look: &Look) -> usize {
        if self.count == 1 && self.needs_company(look) {
            // This number was compared with nothing.
            (self.count, self.least, self.compared) = (2, 2, false);
            (self.window, self.trial) = (None, None);
            return self.count;
        }
        let Some(first) = &self.window else {
            self.window = Some(*look);
            return self.count;
        };
        let took = look.now.saturating_sub(first.now);
        let calls = look.calls.saturating_sub(first.calls);
        if took < WINDOW.0 || (calls < CALLS.0 && took < WINDOW.1) {
            return self.count;
        }
        let used = look.processor.saturating_sub(first.processor);
        let waited = look.waited.saturating_sub(first.waited);
        let seconds = took.as_secs_f64();
        let load = used.as_secs_f64() / (seconds * self.processors as f64);
        let waited = waited.as_secs_f64() / (seconds * self.count as f64);
        let rate = calls as f64 / seconds;
        self.judge(look.now, rate, load, calls >= CALLS.1 && waited < LACKING);
        // What is in hand when the number changes is done by as many as before.
        self.window = None;
        self.count
    }

    /// Whatever was done: a worker that is alone may have a large file in hand.
    fn needs_company(&mut self, look: &Look) -> bool {
        let before = *self.alone.get_or_insert(*look);
        let took = look.now.saturating_sub(before.now);
        if took < COMPANY_AFTER {
            return false;
        }
        self.alone = Some(*look);
        let used = look.processor.saturating_sub(before.processor);
        used.as_secs_f64() < took.as_secs_f64() * WORTH_COMPANY
    }

    fn judge(&mut self, now: Duration, rate: f64, load: f64, tells: bool) {
        if let Some(before) = self.trial.take() {
            let more = self.count > before.count;
            let helps = tells && rate >= before.rate * if more { GAIN } else { AS_GOOD };
            self.compared |= tells;
            self.enough = tells && more != helps;
            if !helps {
                self.count = before.count;
            }
            let goes_on = helps && (more || load > BUSY);
            if !goes_on {
                self.rest(now, tells);
            }
        }
        if !tells || now < self.rests_until {
            return;
        }
        // Nobody has to be compared with where the least keep the processors busy.
        self.compared |= self.count == self.least && load >= IDLE;
        let may_drop = self.count > self.least;
        let next = if load < IDLE && self.count < MOST && !(self.enough && may_drop) {
            (self.count * 2).min(MOST)
        } else if may_drop && (load > BUSY || now >= BELIEVED) {
            (self.count / 2).max(self.least)
        } else {
            return;
        };
        let count = std::mem::replace(&mut self.count, next);
        self.trial = Some(Trial { count, rate });
    }

    fn rest(&mut self, now: Duration, tells: bool) {
        if tells {
            self.rests_until = now + self.rest;
            self.rest = (self.rest * 2).min(REST.1);
        } else {
            self.rests_until = now + SHORT_REST;
        }
    }
}

#[cfg(test)]
mod tests;
