//! Writes events as JSON lines: numbers them, stamps them, keeps every line whole.
//!
//! Invariant: lines appear in the order of their `seq`, whatever thread reports them, and nothing follows
//! the summary. A reader that has gone away is no error of the run: what cannot be written is dropped.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::output::Output;
use super::record::{LineRef, Record, SCHEMA};

/// Bytes kept back before they are written. Entries come by the thousand a second; a write for each would
/// cost more than the entry.
const BUFFER: usize = 64 * 1024;

/// An output of JSON lines, shared by all threads.
pub struct JsonLines {
    run_id: String,
    entries: bool,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    pending: Vec<u8>,
    seq: u64,
    closed: bool,
}

impl JsonLines {
    /// Writes to `out` on behalf of the run `run_id`; changed entries only if `entries` is true.
    pub fn new(out: Box<dyn Write + Send>, run_id: String, entries: bool) -> Self {
        let state = State {
            out,
            pending: Vec::new(),
            seq: 0,
            closed: false,
        };
        Self {
            run_id,
            entries,
            state: Mutex::new(state),
        }
    }
}

impl Output for JsonLines {
    fn wants_entries(&self) -> bool {
        self.entries
    }

    /// Adds a line. Entries wait in a buffer; anything else is written at once, with what waits.
    fn take(&self, record: &Record) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        let is_last = matches!(record, Record::Summary(_));
        let may_wait = matches!(record, Record::Entry { .. });
        state.seq += 1;
        let line = LineRef {
            schema: SCHEMA,
            seq: state.seq,
            time: Timestamp::now().to_string(),
            run_id: &self.run_id,
            record,
        };
        if serde_json::to_writer(&mut state.pending, &line).is_ok() {
            state.pending.push(b'\n');
        }
        if !may_wait || state.pending.len() >= BUFFER {
            state.flush();
        }
        state.closed = is_last;
    }
}

impl State {
    fn flush(&mut self) {
        let written = self
            .out
            .write_all(&self.pending)
            .and_then(|()| self.out.flush());
        self.pending.clear();
        // A closed pipe stays closed; there is nobody left to tell.
        self.closed |= written.is_err();
    }
}

#[cfg(test)]
mod tests;
