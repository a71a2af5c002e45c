//! Events of a run at a daemon on their way to its client, and there: JSON objects in batches.
//!
//! Invariant: what comes from the other side is only ever shown. A record that cannot be read is passed over.

use std::sync::{Mutex, PoisonError};

use super::output::Output;
use super::record::{Record, SummaryRecord};

/// Bytes of events that wait to be sent, at most.
const BATCH_BYTES: usize = 32 << 10;

/// Longest word for a result.
const WORD: usize = 40;

/// Collects events and hands them over in batches; figures and phases push out what waits.
pub struct Relay<F> {
    send: F,
    entries: bool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Vec<u8>>,
    bytes: usize,
}

impl<F: Fn(Vec<Vec<u8>>) + Send + Sync> Relay<F> {
    /// Calls `send` with each batch; with `entries` changed entries are sent too.
    pub fn new(entries: bool, send: F) -> Self {
        Self {
            send,
            entries,
            waiting: Mutex::default(),
        }
    }

    /// Sends what waits.
    pub fn flush(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(&mut waiting);
    }

    // Under the lock, so that events keep their order.
    fn send(&self, waiting: &mut Waiting) {
        if !waiting.events.is_empty() {
            let Waiting { events, .. } = std::mem::take(waiting);
            (self.send)(events);
        }
    }
}

impl<F: Fn(Vec<Vec<u8>>) + Send + Sync> Output for Relay<F> {
    fn wants_entries(&self) -> bool {
        self.entries
    }

    fn take(&self, record: &Record) {
        let due = match record {
            // The client says these itself.
            Record::Start(_) | Record::Fallback { .. } | Record::Summary(_) => return,
            Record::Progress(_) | Record::Phase { .. } | Record::Slow { .. } => true,
            Record::Entry { .. }
            | Record::Note { .. }
            | Record::Withheld { .. }
            | Record::Error { .. } => false,
        };
        let Ok(event) = serde_json::to_vec(record) else {
            return;
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.bytes += event.len();
        waiting.events.push(event);
        if due || waiting.bytes >= BATCH_BYTES {
            self.send(&mut waiting);
        }
    }
}

/// Hands the events of a batch to an output.
pub fn replay(events: &[Vec<u8>], output: &dyn Output) {
    for event in events {
        match serde_json::from_slice(event) {
            Ok(Record::Start(_) | Record::Summary(_)) => {}
            Ok(record) => output.take(&record),
            Err(error) => tracing::debug!(%error, "an event of the daemon cannot be read"),
        }
    }
}

/// Returns the summary of a run at a daemon, if it sent one that can be read.
pub fn summary(record: &[u8]) -> Option<SummaryRecord> {
    let record: SummaryRecord = serde_json::from_slice(record).ok()?;
    Some(SummaryRecord {
        result: word(&record.result),
        ..record
    })
}

/// Returns the word for a result, which is kept in the history and shown from there.
pub(super) fn word(result: &str) -> String {
    let letters = result.chars().filter(char::is_ascii_alphanumeric);
    letters.take(WORD).collect()
}

#[cfg(test)]
mod lies;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::figures::Phase;
    use crate::report::record::EntryPath;

    #[derive(Default)]
    struct Seen(Mutex<Vec<Record>>);

    impl Output for Seen {
        fn take(&self, record: &Record) {
            self.0.lock().unwrap().push(record.clone());
        }
    }

    fn error(path: &[u8]) -> Record {
        Record::Error {
            path: EntryPath::new(path),
            message: "no".to_owned(),
        }
    }

    #[test]
    fn events_arrive_in_their_order_and_in_batches() {
        let batches = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::clone(&batches);
        let relay = Relay::new(true, move |batch| sent.lock().unwrap().push(batch));
        let phase = Record::Phase {
            phase: Phase::Delete,
        };
        let said = [error(b"a"), error(b"\xff"), phase, error(b"b")];
        for record in &said {
            relay.take(record);
        }
        assert_eq!(
            batches.lock().unwrap().len(),
            1,
            "a phase pushes out what waits"
        );
        relay.flush();
        relay.flush();
        let batches = batches.lock().unwrap();
        assert_eq!(batches.len(), 2);
        let seen = Seen::default();
        batches.iter().for_each(|batch| replay(batch, &seen));
        assert_eq!(*seen.0.lock().unwrap(), said);
    }

    #[test]
    fn what_a_daemon_makes_up_is_passed_over() {
        let seen = Seen::default();
        let summary = br#"{"type":"summary","result":"Complete","exitCode":0}"#;
        let batch = [
            b"{".to_vec(),
            b"{\"type\":\"new\"}".to_vec(),
            summary.to_vec(),
            vec![0xff],
        ];
        replay(&batch, &seen);
        assert_eq!(*seen.0.lock().unwrap(), []);
        assert_eq!(super::summary(b"[]"), None);
    }
}
