//! The switch that ends a run early, but cleanly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Ends a run early: no new work is begun, files in hand are put away, what is complete stays.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU8>);

const INTERRUPTED: u8 = 1;
const DEADLINE: u8 = 2;

impl Cancel {
    /// Makes a switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody asked the run to end.
    pub fn cancel(&self) {
        let _ = self
            .0
            .compare_exchange(0, INTERRUPTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The run made no progress for too long.
    pub fn stall(&self) {
        let _ = self
            .0
            .compare_exchange(0, DEADLINE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Returns true once the run must end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Returns true if the reason is that no progress was made.
    pub fn is_stalled(&self) -> bool {
        self.0.load(Ordering::Relaxed) == DEADLINE
    }
}
