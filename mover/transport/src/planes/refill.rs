//! When the destination of a pull opens streams: as many as are missing, at once, and less and less often where they
//! break or do not come; and when it leaves a plane. Pure: time is a parameter, counted from the beginning of the session.

use std::time::Duration;

use crate::tune::STREAMS;

/// Time between two attempts; it is doubled after each, until all that are wanted have held for [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(200);

/// The longest time between two attempts: the numbers of streams are not without end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// For how long a plane is dialled in vain before it is left.
const PATIENCE: Duration = Duration::from_secs(3);

/// How things are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Streams that are to be open.
    pub(crate) wanted: usize,
    /// Streams that take work.
    pub(crate) open: usize,
    /// Streams that are being opened.
    pub(crate) dialled: usize,
}

/// The decision.
#[derive(Debug)]
pub(crate) struct Refill {
    /// Not earlier than this.
    next: Duration,
    pause: Duration,
    /// Since when all that are wanted have been there.
    complete: Option<Duration>,
    /// When the first dial began of those that failed one after the other.
    failing: Option<Duration>,
}

impl Default for Refill {
    fn default() -> Self {
        Self {
            next: Duration::ZERO,
            pause: PAUSE,
            complete: Some(Duration::ZERO),
            failing: None,
        }
    }
}

impl Refill {
    /// Returns how many streams to open now.
    pub(crate) fn look(&mut self, view: &View, now: Duration) -> usize {
        if view.open >= view.wanted {
            self.complete.get_or_insert(now);
            self.failing = None;
            return 0;
        }
        let held = (self.complete.take()).map(|since| now.saturating_sub(since));
        if held.is_some_and(|held| held >= LONGEST_PAUSE) {
            (self.next, self.pause) = (now, PAUSE);
        }
        let missing = view.wanted.saturating_sub(view.open + view.dialled);
        if missing == 0 || now < self.next {
            return 0;
        }
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        missing
    }

    /// Returns when to look again although nothing has happened.
    pub(crate) fn next_look(&self, now: Duration) -> Option<Duration> {
        (self.complete.is_none() && self.next > now).then_some(self.next)
    }

    /// A stream was opened.
    pub(crate) fn opened(&mut self) {
        self.failing = None;
    }

    /// No stream could be opened over the plane, which was tried since `begun`, while so many were open. Returns true if the
    /// plane is to be left: not where only more than a session begins with do not come.
    pub(crate) fn failed(&mut self, open: usize, begun: Duration, now: Duration) -> bool {
        if open >= STREAMS as usize {
            self.failing = None;
            return false;
        }
        let since = *self.failing.get_or_insert(begun);
        now.saturating_sub(since) >= PATIENCE
    }

    /// Another plane is dialled from now on, at once.
    pub(crate) fn begin_anew(&mut self, now: Duration) {
        *self = Self {
            next: now,
            complete: None,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests;
