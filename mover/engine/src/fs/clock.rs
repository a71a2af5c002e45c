//! The clocks of this host. Reading them is no system call: the kernel keeps them in memory of the process.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::entry::Time;
use crate::plan::began::Moment;

/// Returns what file systems of this host would stamp now, to the nanosecond.
pub fn wall() -> Time {
    let now = clock_gettime(ClockId::Realtime);
    Time {
        seconds: now.tv_sec,
        nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0),
    }
}

/// Returns the time since the machine started, in which it slept included.
pub fn steady() -> Duration {
    since_zero(clock_gettime(ClockId::Boottime))
}

/// Returns now by both.
pub fn now() -> Moment {
    Moment {
        wall: since_zero(clock_gettime(ClockId::Realtime)),
        steady: steady(),
    }
}

fn since_zero(time: Timespec) -> Duration {
    match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (Ok(seconds), Ok(nanoseconds)) => Duration::new(seconds, nanoseconds),
        _ => Duration::ZERO,
    }
}
