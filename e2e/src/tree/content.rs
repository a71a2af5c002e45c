//! Contents of files: a length, a seed, holes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::seed::Random;

/// Content of a regular file.
#[derive(Clone, Debug)]
pub struct Content {
    /// Length in bytes.
    pub size: u64,
    /// Where nothing is allocated.
    pub holes: Holes,
    /// Seed of the bytes.
    pub seed: u64,
}

/// Where a file has holes; each wide enough to cover whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// Nowhere.
    None,
    /// From the start to the middle.
    Leading,
    /// In the middle third.
    Middle,
    /// From the middle to the end.
    Trailing,
    /// Every second block of 8 KiB.
    Comb,
    /// Everywhere.
    All,
}

impl Content {
    /// Returns content without holes.
    pub fn full(size: u64, seed: u64) -> Self {
        Self {
            size,
            holes: Holes::None,
            seed,
        }
    }

    /// Writes it to an empty file.
    pub fn write(&self, file: &File) -> io::Result<()> {
        file.set_len(self.size)?;
        let mut random = Random::new(self.seed);
        let mut buffer = vec![0; 64 * 1024];
        for range in self.data() {
            let mut at = range.start;
            while at < range.end {
                let length = buffer.len().min((range.end - at) as usize);
                random.fill(&mut buffer[..length]);
                file.write_all_at(&buffer[..length], at)?;
                at += length as u64;
            }
        }
        Ok(())
    }

    /// Returns the ranges that hold data.
    fn data(&self) -> Vec<Range<u64>> {
        /// Holes begin and end on blocks of this size, in bytes.
        const BLOCK: u64 = 8192;
        let size = self.size;
        let block = |part: u64| (part / BLOCK * BLOCK).min(size);
        let ranges = match self.holes {
            Holes::None => vec![(0, size)],
            Holes::Leading => vec![(block(size / 2), size)],
            Holes::Middle => vec![(0, block(size / 3)), (block(size / 3 * 2), size)],
            Holes::Trailing => vec![(0, block(size / 2))],
            Holes::Comb => (0..size.div_ceil(2 * BLOCK))
                .map(|tooth| (tooth * 2 * BLOCK, (tooth * 2 * BLOCK + BLOCK).min(size)))
                .collect(),
            Holes::All => Vec::new(),
        };
        ranges.into_iter().map(|(start, end)| start..end).collect()
    }
}
