//! What a run tells of single entries.

use super::events::{Change, Event};
use super::orchestrator::Run;
use super::source::Content;
use super::state::STATE_DIR;
use super::summary::Withheld;
use crate::entry::DirId;
use crate::plan::itemize::Item;
use crate::tree::node::lock;

/// Kind of the note about the name of the state folder.
pub const RESERVED: &str = "reserved";
/// That note.
pub const RESERVED_NAME: &str = "is not copied: at the top of a tree this name is the one under which runs keep \
                                 their state; rename it, or make the directory above it the source";

impl Run {
    pub(super) fn event(&self, event: &Event<'_>) {
        self.events.event(event);
    }

    /// Reports a change of an entry; its path is made only if somebody wants to know.
    pub(super) fn changed(
        &self,
        path: impl FnOnce() -> Vec<u8>,
        change: Change,
        item: Option<Item>,
        target: Option<&[u8]>,
    ) {
        if let Some(item) = item.filter(|_| self.wants_entries()) {
            self.event(&Event::Entry {
                path: &path(),
                change,
                item,
                target,
            });
        }
    }

    /// Returns true if somebody wants to know of every change.
    pub(super) fn wants_entries(&self) -> bool {
        self.events.wants_entries()
    }

    /// Reports an entry that could not be brought over.
    pub(super) fn failed(&self, path: &[u8], message: &str) {
        self.counters.failed(path, message);
        self.event(&Event::Failed {
            path,
            message: message.to_owned(),
        });
    }

    /// Reports that deletions below a directory are not done.
    pub(super) fn withhold(&self, path: Vec<u8>, reason: &str) {
        self.event(&Event::Withheld {
            path: &path,
            reason: reason.to_owned(),
        });
        lock(&self.counters.withheld).push(Withheld {
            path: path.into(),
            reason: reason.to_owned(),
        });
    }

    /// Tells of an entry of the source that has the name under which runs keep their state: it is passed over.
    pub(super) fn note_reserved_name(&self) {
        let Content::Handles(handles) = &self.content else {
            // The source tells by itself.
            return;
        };
        let there = handles.directory(DirId::ROOT);
        if there.is_ok_and(|root| root.stat(STATE_DIR).is_ok()) {
            self.event(&Event::Note {
                path: STATE_DIR,
                kind: RESERVED,
                message: RESERVED_NAME.to_owned(),
            });
        }
    }
}
