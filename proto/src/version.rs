//! Versions of the protocol: what this build speaks, and what two sides agree on. Pure, but for a test switch of debug builds.

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

/// All of them.
const FEATURES: [&str; 4] = [BLAKE3, VERIFY, PARTS, STREAMS];

/// A test switch that only debug builds have: features, with commas between them, that this program neither announces nor asks
/// for, as a release from before they were made.
const WITHOUT: &str = "BLIT_TEST_WITHOUT_FEATURES";

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
    let without = std::env::var(WITHOUT).ok();
    let without = without.filter(|_| cfg!(debug_assertions));
    let without = without.unwrap_or_default();
    let left_out = |feature: &&str| without.split(',').any(|named| named == *feature);
    let features = FEATURES.into_iter().filter(|feature| !left_out(feature));
    Hello {
        min: MIN,
        max: MAX,
        features: features.map(str::to_owned).collect(),
        program: concat!("blit ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Returns true if both sides have a feature.
pub fn both_have(feature: &str, ours: &Hello, theirs: &Hello) -> bool {
    let has = |hello: &Hello| hello.features.iter().any(|known| known == feature);
    has(ours) && has(theirs)
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
