//! Waiting for files that were written to a moment ago, see [`crate::plan::young`].

use std::time::{Duration, Instant};

use crate::entry::Meta;
use crate::fs::clock;
use crate::plan::young::ripens_in;

/// Time between two looks at whether the wait is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Returns true if a change of the file could go unnoticed now. Costs no system call.
pub fn is_young(meta: &Meta) -> bool {
    ripens_in(meta, clock::wall()).is_some()
}

/// Waits until a change of the file cannot go unnoticed any more, or until `must_end`; for most files not at all. However
/// the wall clock is set meanwhile, it takes no longer than was seen at first.
pub fn ripen(meta: &Meta, must_end: impl Fn() -> bool) {
    let Some(wait) = ripens_in(meta, clock::wall()) else {
        return;
    };
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || must_end() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}
