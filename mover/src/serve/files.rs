//! What a daemon does with files below its root.

use blit_engine::entry::Entry;
use blit_engine::fs::Dir;
use blit_engine::run::Purged;
use blit_transport::daemon::{Given, Handler, Pushed, Refusal};
use blit_transport::path::RelPath;

use super::sessions::{Limits, Sessions};
use super::{give, list, purge};

/// The root of a daemon.
pub(super) struct Files {
    root: Dir,
    limits: Limits,
    sessions: Sessions,
}

impl Files {
    pub(super) fn new(root: Dir, limits: Limits) -> Self {
        Self {
            root,
            limits,
            sessions: Sessions::default(),
        }
    }

    /// Asks the sessions that write to end, and waits for them.
    pub(super) fn end(&self) {
        self.sessions.end_all();
    }
}

impl Handler for Files {
    fn list(
        &self,
        path: &RelPath,
        give: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<Option<String>, Refusal> {
        list::list(&self.root, path, give)
    }

    fn give(&self, path: &RelPath, one_file_system: bool) -> Result<Given, Refusal> {
        give::give(&self.root, path, one_file_system)
    }

    fn push(&self, pushed: Pushed) {
        self.sessions.push(&self.root, self.limits, pushed);
    }

    fn purge(&self, paths: &[RelPath], dry_run: bool) -> Result<Purged, Refusal> {
        purge::purge(&self.root, paths, dry_run)
    }
}
