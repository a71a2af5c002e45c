//! What this process knows about itself.

use nix::sys::resource::{UsageWho, getrusage};

/// A test switch that only debug builds have: queued work is never taken, and the run must notice that it stalls.
const BLOCK_QUEUE: &str = "BLIT_TEST_BLOCK_QUEUE";

/// Returns true if the queue is to be blocked.
pub(crate) fn blocks_queue() -> bool {
    cfg!(debug_assertions) && std::env::var_os(BLOCK_QUEUE).is_some()
}

/// Returns the largest resident set so far in bytes, and 0 where the kernel does not tell.
pub(crate) fn peak_memory() -> u64 {
    let kibibytes = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(kibibytes).unwrap_or(0) * 1024
}
