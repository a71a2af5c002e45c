//! Names that a run uses for itself, and hashes of names.
//!
//! A temporary name is `.blit.<run id><n>.tmp` with a run id of twelve characters. It belongs to Blit only
//! while the state of that run lies in the destination; anything else so named is user data.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::entry::Meta;

/// Characters of a run id.
pub const RUN_ID_LENGTH: usize = 12;
const PREFIX: &[u8] = b".blit.";
const SUFFIX: &[u8] = b".tmp";

/// Hands out the temporary names of one run.
#[derive(Debug)]
pub struct TempNames {
    run_id: Box<str>,
    next: AtomicU64,
}

impl TempNames {
    /// Names of the run `run_id`, which must have [`RUN_ID_LENGTH`] characters.
    pub fn new(run_id: &str) -> Self {
        debug_assert_eq!(run_id.len(), RUN_ID_LENGTH);
        Self {
            run_id: run_id.into(),
            next: AtomicU64::new(0),
        }
    }

    /// Returns a name that this run has not used.
    pub fn unique(&self) -> Vec<u8> {
        compose(
            &self.run_id,
            &format!("{}", self.next.fetch_add(1, Ordering::Relaxed)),
        )
    }

    /// Returns the name under which this run makes a large file that a later run may continue.
    pub fn of_partial(&self, key: &PartialKey) -> Vec<u8> {
        partial_name(&self.run_id, key)
    }

    /// Returns the name under which this run makes the directory `name`.
    pub fn of_directory(&self, name: &[u8]) -> Vec<u8> {
        directory_name(&self.run_id, name)
    }
}

/// Returns the name under which the run `run_id` makes the directory `name`: always the same, so that a
/// later run finds and continues what a killed one left.
pub fn directory_name(run_id: &str, name: &[u8]) -> Vec<u8> {
    compose(run_id, &format!("d{:016x}", fnv1a(name)))
}

/// What a large file is: its name, and the state in which the source listed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialKey(String);

impl PartialKey {
    /// Returns the key of a listed file. The device is no part of it: a volume gets another number with each mount.
    pub fn new(name: &[u8], meta: &Meta) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&meta.size.to_be_bytes());
        hasher.update(&meta.mtime.seconds.to_be_bytes());
        hasher.update(&meta.mtime.nanoseconds.to_be_bytes());
        hasher.update(&meta.ino.to_be_bytes());
        hasher.update(name);
        let key = hasher.finalize().to_hex();
        Self(key.as_str()[..32].to_owned())
    }
}

/// Returns the name under which the run `run_id` makes a large file: always the same as long as the source has not
/// changed it, so that a later run finds and continues what a killed one left.
pub fn partial_name(run_id: &str, key: &PartialKey) -> Vec<u8> {
    compose(run_id, &format!("p{}", key.0))
}

/// Returns the run id in a temporary name.
pub fn run_id_of(name: &[u8]) -> Option<&[u8]> {
    let inner = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let (run_id, n) = inner.split_at_checked(RUN_ID_LENGTH)?;
    let well_formed = is_run_id(run_id) && !n.is_empty() && n.iter().all(u8::is_ascii_alphanumeric);
    well_formed.then_some(run_id)
}

/// Returns true for what a run may be called: no name that is made of it leads anywhere else.
pub fn is_run_id(run_id: &[u8]) -> bool {
    run_id.len() == RUN_ID_LENGTH && run_id.iter().all(u8::is_ascii_alphanumeric)
}

/// Hashes names with a key of this process, so that nobody can prepare names that collide.
#[derive(Debug, Default)]
pub struct NameHasher(RandomState);

impl NameHasher {
    /// Returns the hash of a name.
    pub fn hash(&self, name: &[u8]) -> u64 {
        self.0.hash_one(name)
    }
}

fn compose(run_id: &str, n: &str) -> Vec<u8> {
    [PREFIX, run_id.as_bytes(), n.as_bytes(), SUFFIX].concat()
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): stable over releases, which the standard hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
