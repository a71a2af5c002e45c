//! Versions of the protocol: what this build speaks, and what two sides agree on. Pure.

use crate::v2::Hello;

/// Lowest version that this build speaks.
pub const MIN: u32 = 1;

/// Highest version that this build speaks.
pub const MAX: u32 = 1;

/// Feature of a source that answers with hashes of files.
pub const BLAKE3: &str = "blake3";

/// Feature of a source that proves with codes what it sent.
pub const VERIFY: &str = "verify";

/// Feature of a source that sends parts of files, and the hashes of their blocks.
pub const PARTS: &str = "parts";

/// Feature of a side that replaces data streams that broke, and sends again what was lost with them.
pub const STREAMS: &str = "streams";

/// The two sides have no version in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no common protocol version: this side ({our_program}) speaks {our_min} to {our_max}, the other \
     ({their_program}) {their_min} to {their_max}; install the same release of blit on both sides"
)]
pub struct Mismatch {
    /// Program of this side.
    pub our_program: String,
    /// Lowest version of this side.
    pub our_min: u32,
    /// Highest version of this side.
    pub our_max: u32,
    /// Program of the other side.
    pub their_program: String,
    /// Lowest version of the other side.
    pub their_min: u32,
    /// Highest version of the other side.
    pub their_max: u32,
}

/// Returns what this build says of itself.
pub fn hello() -> Hello {
    Hello {
        min: MIN,
        max: MAX,
        features: [BLAKE3, VERIFY, PARTS, STREAMS].map(str::to_owned).to_vec(),
        program: concat!("blit ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Returns the highest version that both sides speak.
pub fn negotiate(ours: &Hello, theirs: &Hello) -> Result<u32, Mismatch> {
    let version = ours.max.min(theirs.max);
    if version >= ours.min && version >= theirs.min && version > 0 {
        return Ok(version);
    }
    Err(Mismatch {
        our_program: ours.program.clone(),
        our_min: ours.min,
        our_max: ours.max,
        // The text of a peer ends up in logs: keep it short and printable.
        their_program: theirs
            .program
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect(),
        their_min: theirs.min,
        their_max: theirs.max,
    })
}

#[cfg(test)]
mod tests;
