//! What this process knows about itself.

use blit_crds::mirrorjob::Side;
use nix::sys::resource::{UsageWho, getrusage};

/// A test switch that only debug builds have, `source` or `destination`: work that is queued there is never taken, and the
/// run must notice that it stalls.
const BLOCK_QUEUE: &str = "BLIT_TEST_BLOCK_QUEUE";

/// Returns true if the queue of this side is to be blocked.
pub(crate) fn blocks_queue(side: Side) -> bool {
    let name = match side {
        Side::Source => "source",
        Side::Destination => "destination",
    };
    cfg!(debug_assertions) && std::env::var_os(BLOCK_QUEUE).is_some_and(|blocked| blocked == name)
}

/// Returns the largest resident set so far in bytes, and 0 where the kernel does not tell.
pub(crate) fn peak_memory() -> u64 {
    let kibibytes = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(kibibytes).unwrap_or(0) * 1024
}
