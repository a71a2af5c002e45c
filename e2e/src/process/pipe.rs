//! Reads an output of a program into memory while others wait for a line of it.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Everything that was read so far, and whether more can come.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Pipe {
    /// Starts to read on a thread of its own, which ends with the pipe.
    pub(super) fn read(from: Option<impl Read + Send + 'static>) -> Arc<Self> {
        let pipe = Arc::new(Self::default());
        let writer = Arc::clone(&pipe);
        std::thread::spawn(move || {
            if let Some(mut from) = from {
                let mut buffer = [0; 16 * 1024];
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    writer.lock().bytes.extend_from_slice(&buffer[..length]);
                    writer.changed.notify_all();
                }
            }
            writer.lock().closed = true;
            writer.changed.notify_all();
        });
        pipe
    }

    /// Returns what was read so far.
    pub(super) fn so_far(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Waits for the end of the pipe, for a grace time, and returns everything.
    ///
    /// The program has ended; only a child that it left behind could still hold the pipe.
    pub(super) fn all(&self) -> Vec<u8> {
        /// Far more than a thread needs to read what is in a pipe.
        const GRACE: Duration = Duration::from_secs(10);
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, GRACE, |state| !state.closed);
        waited
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .bytes
            .clone()
    }

    /// Waits for a complete line that satisfies the condition; `Ok(None)` if the pipe ended without one.
    pub(super) fn wait_for_line(
        &self,
        patience: Duration,
        condition: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, ()> {
        let deadline = Instant::now() + patience;
        let mut seen = 0;
        let mut state = self.lock();
        loop {
            while let Some(length) = state.bytes[seen..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&state.bytes[seen..seen + length]);
                if condition(&line) {
                    return Ok(Some(line.into_owned()));
                }
                seen += length + 1;
            }
            if state.closed {
                return Ok(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(());
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
