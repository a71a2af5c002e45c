//! The look at both tops before a mirror writes anything.

use std::sync::atomic::Ordering::Relaxed;

use super::DestinationRoot;
use super::orchestrator::{LISTING_WAIT, Run};
use super::source::Next;
use super::state::{LOST_AND_FOUND, STATE_DIR};
use super::summary::Fatal;
use crate::entry::{DirId, Kind};
use crate::fs::FsError;
use crate::plan::guard::{Refusal, Tops, judge_tops};
use crate::tree::node::lock;

impl Run {
    /// Looks at the whole top of both sides before anything is written. Parts that come meanwhile are kept.
    pub(super) fn judge_tops(&self) -> Result<Result<(), Refusal>, Fatal> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        loop {
            if self.cancel.is_cancelled() {
                return Ok(Ok(()));
            }
            match self.listing.next(LISTING_WAIT)? {
                Next::Part(part) => {
                    let mut ended = false;
                    if part.dir == DirId::ROOT {
                        let entries = part.entries.iter().filter(|entry| {
                            let directory = entry.meta.kind == Kind::Directory;
                            !self.options.filters.excludes(&entry.name, directory)
                        });
                        names.extend(entries.map(|entry| entry.name.clone()));
                        ended = part.end.is_some();
                    }
                    lock(&self.ready).push_back(part);
                    if ended {
                        break;
                    }
                }
                Next::Pending => {}
                Next::Finished => break,
            }
        }
        let root = self.root.node.open().map_err(Fatal::Destination)?;
        let existing = match self.options.destination {
            // The handle is of a directory above it.
            DestinationRoot::Missing => Vec::new(),
            DestinationRoot::Exists | DestinationRoot::Made => {
                crate::apply::remove::names(&root)
                    .map_err(|errno| Fatal::Destination(FsError::new("read", b"", errno)))?
            }
        };
        names.retain(|name| **name != *LOST_AND_FOUND);
        names.sort_unstable();
        let mut tops = Tops {
            source_entries: names.len() as u64,
            destination_entries: 0,
            common: 0,
        };
        self.source_empty.store(names.is_empty(), Relaxed);
        for name in existing {
            if *name == *LOST_AND_FOUND || *name == *STATE_DIR || self.state.is_ours(&name) {
                continue;
            }
            if self.protects() && self.keeps(&root, &name, &name) {
                continue;
            }
            tops.destination_entries += 1;
            tops.common += u64::from(names.binary_search(&name).is_ok());
        }
        Ok(judge_tops(
            tops,
            self.options.max_delete,
            self.options.allow_empty_source,
        ))
    }
}
