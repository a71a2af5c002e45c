//! The listing of one file at a daemon, under the name that it is to get here.
//!
//! The destination directory keeps its own attributes: it is not part of what is copied.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use blit_engine::entry::{DirId, Entry, Kind};
use blit_engine::fs::{Dir, FsError};
use blit_engine::run::{Elsewhere, End, Listing, Next, Part, SourceError};

use crate::local::file::root_of;

/// A listing with one file in it.
pub(crate) struct OneFile {
    listing: Arc<dyn Listing>,
    name: Box<[u8]>,
    /// What a run takes for the source's root.
    root: Entry,
}

impl OneFile {
    /// Takes the listing of a source that says that it is one file, to be copied into `destination` under `name`.
    pub(crate) fn new(
        listing: Arc<dyn Listing>,
        destination: &Dir,
        name: &OsStr,
    ) -> Result<Self, FsError> {
        Ok(Self {
            listing,
            name: name.as_bytes().into(),
            root: root_of(destination)?,
        })
    }

    /// Gives the one entry its name.
    fn rename(&self, mut part: Part) -> Result<Part, SourceError> {
        match (part.entries.as_mut_slice(), &part.end) {
            ([entry], Some(End::Complete { .. }))
                if part.dir == DirId::ROOT && entry.meta.kind == Kind::File =>
            {
                entry.name.clone_from(&self.name);
                Ok(part)
            }
            ([], Some(End::Complete { .. })) => {
                Err(SourceError::Other("the source is gone".to_owned()))
            }
            (_, Some(End::Incomplete { reason })) => Err(SourceError::Root(reason.clone())),
            _ => Err(SourceError::Lost(
                "the source said that it is one file, and lists something else; install the same release of blit \
                 on both sides"
                    .to_owned(),
            )),
        }
    }
}

impl Listing for OneFile {
    fn root(&self) -> Result<Entry, SourceError> {
        Ok(self.root.clone())
    }

    fn next(&self, wait: Duration) -> Result<Next, SourceError> {
        match self.listing.next(wait)? {
            Next::Part(part) => self.rename(part).map(Next::Part),
            other => Ok(other),
        }
    }

    fn done(&self, dir: DirId, part: u32, keep: bool) {
        self.listing.done(dir, part, keep);
    }

    fn elsewhere(&self) -> Elsewhere {
        self.listing.elsewhere()
    }

    fn hashed_elsewhere(&self) -> u64 {
        self.listing.hashed_elsewhere()
    }

    fn skip(&self, dir: DirId) {
        self.listing.skip(dir);
    }

    fn relist(&self, dir: DirId) -> Result<Vec<Box<[u8]>>, SourceError> {
        self.listing.relist(dir)
    }
}

#[cfg(test)]
mod tests;
