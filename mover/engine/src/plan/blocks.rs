//! Which blocks of a large file are asked for, and whether comparing blocks is worth it. Pure.

use crate::fs::blocks::BLOCK;

/// Blocks that are compared first.
const SAMPLES: u64 = 16;

/// Bytes that one want asks for, at most: so that some fit into the window of what is under way, and the next are
/// asked for before the last have come.
const WANT_BYTES: u64 = 16 << 20;

/// Ranges of one want, at most: half of the blocks of a region can be missing with one between each two.
pub const WANT_RANGES: usize = 1024;

/// Returns the blocks to be compared first, as (offset, length), spread over the first `size` bytes of a file: one of each
/// of as many parts of equal length, and each at another place of its part, as what writes to a file often does so
/// at equal distances.
pub fn samples(size: u64) -> Vec<(u64, u64)> {
    let blocks = size / BLOCK;
    let count = blocks.min(SAMPLES);
    (0..count)
        .map(|n| {
            let (from, to) = (n * blocks / count, (n + 1) * blocks / count);
            // Multiples of the golden ratio, of which the part behind the point goes over all there is.
            let place = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
            ((from + (((to - from) * place) >> 16)) * BLOCK, BLOCK)
        })
        .collect()
}

/// Tells from the samples whether all blocks are to be compared. Both sides read and hash the whole file for that, at
/// a gigabyte a second and more; on a network of a tenth of it that is worth it where an eighth need not be sent. Where
/// hardly anything is left as it was, as in what is compressed or encrypted anew, the file goes whole.
pub fn is_worth(same: u64, different: u64) -> bool {
    same > 0 && same * 8 >= same + different
}

/// What is missing of a region: ranges in ascending order, as (offset, length).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing(Vec<(u64, u64)>);

impl Missing {
    /// Adds a range that lies behind all others.
    pub fn add(&mut self, offset: u64, length: u64) {
        match self.0.last_mut() {
            Some(last) if last.0 + last.1 == offset => last.1 += length,
            _ => self.0.push((offset, length)),
        }
    }

    /// Returns the ranges.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Returns what is missing in portions that go into one want each.
    pub fn wants(self) -> Vec<Vec<(u64, u64)>> {
        let mut wants = Vec::new();
        let (mut want, mut bytes) = (Vec::new(), 0);
        for (mut offset, mut length) in self.0 {
            while length > 0 {
                let take = length.min(WANT_BYTES - bytes);
                want.push((offset, take));
                (offset, length, bytes) = (offset + take, length - take, bytes + take);
                if bytes == WANT_BYTES || want.len() == WANT_RANGES {
                    wants.push(std::mem::take(&mut want));
                    bytes = 0;
                }
            }
        }
        if !want.is_empty() {
            wants.push(want);
        }
        wants
    }
}

#[cfg(test)]
mod tests;
