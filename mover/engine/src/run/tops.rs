//! The look at both tops before a mirror writes anything.

use std::sync::atomic::Ordering::Relaxed;

use super::DestinationRoot;
use super::orchestrator::Run;
use super::source::Next;
use super::state::{LOST_AND_FOUND, STATE_DIR};
use super::summary::Fatal;
use crate::entry::{DirId, Kind};
use crate::fs::FsError;
use crate::plan::guard::{Refusal, Tops, judge_tops};
use crate::tree::node::lock;

impl Run {
    /// Looks at the tops of both sides before anything is written, as far as they have to be known: a top of a
    /// million names is not waited for when the first says enough. Parts that come meanwhile are kept.
    pub(super) fn judge_tops(&self) -> Result<Result<(), Refusal>, Fatal> {
        let existing = self.existing_names()?;
        let mut tops = Tops {
            source_entries: 0,
            destination_entries: existing.len() as u64,
            common: 0,
        };
        let (max_delete, allow_empty) = (self.options.max_delete, self.options.allow_empty_source);
        loop {
            if self.must_end() {
                return Ok(Ok(()));
            }
            match self.listing.next(self.listing_wait())? {
                Next::Part(part) => {
                    let mut ended = false;
                    if part.dir == DirId::ROOT {
                        for entry in &part.entries {
                            let directory = entry.meta.kind == Kind::Directory;
                            if *entry.name == *LOST_AND_FOUND
                                || self.options.filters.excludes(&entry.name, directory)
                            {
                                continue;
                            }
                            tops.source_entries += 1;
                            tops.common += u64::from(existing.binary_search(&entry.name).is_ok());
                        }
                        ended = part.end.is_some();
                    }
                    lock(&self.ready).push_back(part);
                    // More entries make no tops worse.
                    let judged = tops.source_entries > 0
                        && judge_tops(tops, max_delete, allow_empty).is_ok();
                    if ended || judged {
                        break;
                    }
                }
                Next::Pending => {}
                Next::Finished => break,
            }
        }
        self.source_empty.store(tops.source_entries == 0, Relaxed);
        Ok(judge_tops(tops, max_delete, allow_empty))
    }

    /// Names at the top of the destination that a deletion could be about, sorted.
    fn existing_names(&self) -> Result<Vec<Box<[u8]>>, Fatal> {
        let root = self.root.node.open().map_err(Fatal::Destination)?;
        let mut existing = match self.options.destination {
            // The handle is of a directory above it.
            DestinationRoot::Missing => Vec::new(),
            DestinationRoot::Exists | DestinationRoot::Made => {
                crate::apply::remove::names(&root)
                    .map_err(|errno| Fatal::Destination(FsError::new("read", b"", errno)))?
            }
        };
        existing.retain(|name| {
            let ours =
                **name == *LOST_AND_FOUND || **name == *STATE_DIR || self.state.is_ours(name);
            !(ours || self.protects() && self.keeps(&root, name, name))
        });
        existing.sort_unstable();
        Ok(existing)
    }
}
