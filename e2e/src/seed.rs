//! Randomness that can be replayed.
//!
//! Every random test asks [`for_test`] for its seed and says it when it fails; setting the variable to the
//! printed number repeats the very same choices.

use std::hash::{BuildHasher, RandomState};

/// Environment variable that replays a failure: a decimal number printed by the failed test.
pub const VARIABLE: &str = "BLIT_TEST_SEED";

/// Returns the seed of this run: that of [`VARIABLE`], else a new one.
///
/// # Panics
///
/// If the variable is set to something else than a number: a replay must not turn into another run.
pub fn for_test() -> u64 {
    match std::env::var(VARIABLE) {
        // A hasher is keyed by the system's randomness, which is all the randomness a new seed needs.
        Err(_) => RandomState::new().hash_one(0),
        Ok(text) => match text.trim().parse() {
            Ok(seed) => seed,
            Err(error) => panic!("{VARIABLE}={text} is not a seed: {error}"),
        },
    }
}

/// A small generator (SplitMix64) for choices and for file contents: fast, seeded, good enough for tests.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns a generator that always makes the same choices for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `limit`, or 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 {
            0
        } else {
            (self.bits() % limit as u64) as usize
        }
    }

    /// Returns one of the choices; `None` if there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    /// Fills a buffer with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.bits().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
