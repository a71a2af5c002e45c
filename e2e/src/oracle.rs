//! Says whether a destination is an exact mirror of a source.
//!
//! Two judges that know nothing of each other or of Blit: rsync ([`rsync`]), the program whose users we
//! ask to trust us, and a comparer ([`comparer`]) for what rsync does not look at: holes, hard links that
//! were joined wrongly, sockets, link counts, our own leftovers.
//!
//! Non-goal: repairing anything. Both judges only read.

pub mod comparer;
mod difference;
mod holes;
mod links;
pub mod rsync;

use std::path::Path;

pub use difference::{Difference, What};

use crate::error::Result;

/// What counts as equal; the default is exactness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Nanoseconds to which the destination's file system cuts times: 1 where it keeps all of them,
    /// 1,000,000,000 where it keeps whole seconds.
    pub time_granule: u32,
    /// Whether holes must have stayed holes; false if one of the file systems cannot have any.
    pub holes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_granule: 1,
            holes: true,
        }
    }
}

/// Returns everything in which the trees differ, as lines to read, after asking both judges.
pub fn differences(source: &Path, destination: &Path, options: &Options) -> Result<Vec<String>> {
    let (comparer, rsync) = std::thread::scope(|scope| {
        let rsync = scope.spawn(|| rsync::differences(source, destination, options));
        let comparer = comparer::differences(source, destination, options);
        (
            comparer,
            rsync
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    });
    let ours = comparer?
        .into_iter()
        .map(|difference| difference.to_string());
    let theirs = rsync?.into_iter().map(|line| format!("rsync: {line}"));
    Ok(ours.chain(theirs).collect())
}

/// Panics with the first differences unless the destination is an exact mirror of the source.
#[track_caller]
pub fn assert_mirrored(source: &Path, destination: &Path) {
    assert_mirrored_within(source, destination, &Options::default());
}

/// As [`assert_mirrored`], for a file system that cannot keep everything.
#[track_caller]
pub fn assert_mirrored_within(source: &Path, destination: &Path, options: &Options) {
    /// More would only hide the first.
    const SHOWN: usize = 40;
    match differences(source, destination, options) {
        Ok(found) if found.is_empty() => {}
        Ok(found) => panic!(
            "{} is not a mirror of {}, {} differences:\n{}",
            destination.display(),
            source.display(),
            found.len(),
            found[..found.len().min(SHOWN)].join("\n")
        ),
        Err(error) => panic!("the oracle cannot judge: {error}"),
    }
}

#[cfg(test)]
mod tests;
