//! Files that were written to a moment ago. Pure; the time is a parameter.
//!
//! A file system stamps a change with a clock that advances in granules. Who reads a file in the granule of its last
//! change can miss a change that follows in the same one: length and time are the same before and after, now and for ever.
//! So such a file is read when its time is over.

use std::time::Duration;

use crate::entry::{Meta, Time};

/// A tick of the slowest Linux kernels, and what exFAT keeps.
const FINE: Duration = Duration::from_millis(10);
/// What file systems keep that store no fractions of a second.
const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// Returns how long to wait at `now` until a change of the file cannot go unnoticed any more: at most two granules of the
/// clock; `None` if it has happened long enough ago.
///
/// A time that lies ahead, of a clock that was set back or of another host's, is no reason to wait: the next change will get
/// another one. Only so close to `now` that the clock may come to it, it is.
pub fn ripens_in(meta: &Meta, now: Time) -> Option<Duration> {
    // The kernel's own time of the change has a fraction too, unless the file system keeps none.
    let whole = meta.mtime.nanoseconds == 0 && meta.ctime.nanoseconds == 0;
    let granules = 2 * nanoseconds(if whole { WHOLE_SECOND } else { FINE });
    let seconds = i128::from(now.seconds) - i128::from(meta.mtime.seconds);
    let age = seconds * nanoseconds(Duration::from_secs(1)) + i128::from(now.nanoseconds)
        - i128::from(meta.mtime.nanoseconds);
    if age >= granules || age <= -granules {
        return None;
    }
    let wait = (granules - age).min(granules);
    u64::try_from(wait).ok().map(Duration::from_nanos)
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests;
