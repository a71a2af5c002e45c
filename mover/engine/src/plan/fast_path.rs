//! Which shape of work a run met. Pure.
//!
//! There is one pipeline for all of them; what it does for each shape, and what was measured and left out, is in
//! `docs/reference/fast-paths.md`.

/// Files of which the first thread has copied most before another has started.
const TINY_FILES: u64 = 16;
/// Bytes of all of them.
const TINY_BYTES: u64 = 1024 * 1024;
/// Entries that make a directory one that is worth sharing.
const FLAT_ENTRIES: u64 = 10_000;
/// Mean size below which opening and naming a file costs more than its content.
const SMALL_MEAN: u64 = 128 * 1024;
/// Files from which they are many.
const MANY: u64 = 1000;
/// Size from which one file can be most of a run.
const HUGE: u64 = 64 * 1024 * 1024;

/// A shape of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastPath {
    /// A few small files.
    TinyTree,
    /// Nothing had to be written.
    InSync,
    /// One file is most of all bytes.
    HugeFile,
    /// One directory holds most of the entries.
    FlatDirectory,
    /// Many files that are small.
    ManySmallFiles,
}

impl FastPath {
    /// Name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::TinyTree => "tinyTree",
            Self::InSync => "inSync",
            Self::HugeFile => "hugeFile",
            Self::FlatDirectory => "flatDirectory",
            Self::ManySmallFiles => "manySmallFiles",
        }
    }
}

/// What a run was when it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Whole {
    /// Nothing was written or deleted.
    pub untouched: bool,
    /// Entries of the source, directories left out.
    pub files: u64,
    /// Bytes of content of the source.
    pub bytes: u64,
    /// Size of the largest file.
    pub largest_file: u64,
    /// Entries of the largest directory.
    pub largest_directory: u64,
}

/// Returns the path that a run took; `None` is the plain one.
pub fn taken(run: &Whole) -> Option<FastPath> {
    let most = |part: u64, whole: u64| part > whole / 2;
    if run.files == 0 {
        None
    } else if run.untouched {
        Some(FastPath::InSync)
    } else if run.files <= TINY_FILES && run.bytes <= TINY_BYTES {
        Some(FastPath::TinyTree)
    } else if run.largest_file >= HUGE && most(run.largest_file, run.bytes) {
        Some(FastPath::HugeFile)
    } else if run.largest_directory >= FLAT_ENTRIES && most(run.largest_directory, run.files) {
        Some(FastPath::FlatDirectory)
    } else if run.files >= MANY && run.bytes / run.files < SMALL_MEAN {
        Some(FastPath::ManySmallFiles)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
