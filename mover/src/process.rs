//! What this process knows about itself.

use nix::sys::resource::{UsageWho, getrusage};

/// Returns the largest resident set so far in bytes, and 0 where the kernel does not tell.
pub(crate) fn peak_memory() -> u64 {
    let kibibytes = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(kibibytes).unwrap_or(0) * 1024
}
