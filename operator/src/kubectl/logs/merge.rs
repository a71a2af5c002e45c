//! Puts the lines of several logs into the order of time. Pure: time is a parameter.
//!
//! A line may go when no other open log can still bring an older one. A silent log would hold the others back for
//! ever, so that nothing waits longer than the patience that was asked for.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamped {
    /// When the kubelet took it.
    pub(super) time: Timestamp,
    /// The line.
    pub(super) line: String,
}

/// The open logs, by what tells them apart, and the lines that wait.
#[derive(Debug)]
pub(super) struct Merge<K> {
    patience: Option<Duration>,
    logs: BTreeMap<K, Log>,
}

#[derive(Debug, Default)]
struct Log {
    waiting: VecDeque<(Stamped, Instant)>,
    closed: bool,
}

impl<K: Ord + Clone> Merge<K> {
    /// Begins without any log. Without patience lines wait until every log has said more, or ended.
    pub(super) fn new(patience: Option<Duration>) -> Self {
        Self {
            patience,
            logs: BTreeMap::new(),
        }
    }

    /// Adds a log.
    pub(super) fn open(&mut self, key: K) {
        self.logs.entry(key).or_default();
    }

    /// Takes a line.
    pub(super) fn take(&mut self, key: &K, line: Stamped, now: Instant) {
        if let Some(log) = self.logs.get_mut(key) {
            log.waiting.push_back((line, now));
        }
    }

    /// Takes notice that a log brings no more lines.
    pub(super) fn close(&mut self, key: &K) {
        if let Some(log) = self.logs.get_mut(key) {
            log.closed = true;
        }
    }

    /// Returns whether all logs have ended and all lines have gone.
    pub(super) fn is_done(&self) -> bool {
        let mut logs = self.logs.values();
        logs.all(|log| log.closed && log.waiting.is_empty())
    }

    /// Returns the next line that may go.
    pub(super) fn next(&mut self, now: Instant) -> Option<(K, Stamped)> {
        let due = self.due()?;
        if due.is_some_and(|due| now < due) {
            return None;
        }
        let key = self.oldest()?.0.clone();
        let (line, _) = self.logs.get_mut(&key)?.waiting.pop_front()?;
        Some((key, line))
    }

    /// Returns when [`Self::next`] has something, if nothing more comes: at once (`None`), or at a time. Without a
    /// line that could go there is no answer.
    pub(super) fn due(&self) -> Option<Option<Instant>> {
        let (_, arrived) = self.oldest()?;
        let mut logs = self.logs.values();
        let silent = logs.any(|log| !log.closed && log.waiting.is_empty());
        match (silent, self.patience) {
            (false, _) => Some(None),
            (true, Some(patience)) => Some(Some(arrived + patience)),
            (true, None) => None,
        }
    }

    /// The log whose next line is the oldest, and when that line arrived.
    fn oldest(&self) -> Option<(&K, Instant)> {
        let heads = self.logs.iter().filter_map(|(key, log)| {
            let (line, arrived) = log.waiting.front()?;
            Some((line.time, key, *arrived))
        });
        heads
            .min_by_key(|(time, _, _)| *time)
            .map(|(_, key, arrived)| (key, arrived))
    }
}

/// Splits a line into the time that the kubelet put before it and the rest. One without a time keeps that of the
/// line before.
pub(super) fn stamped(line: &str, before: Timestamp) -> Stamped {
    let parts = line.split_once(' ').unwrap_or((line, ""));
    match parts.0.parse() {
        Ok(time) => Stamped {
            time,
            line: parts.1.to_owned(),
        },
        Err(_) => Stamped {
            time: before,
            line: line.to_owned(),
        },
    }
}
